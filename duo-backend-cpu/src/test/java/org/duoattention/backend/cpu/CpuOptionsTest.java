package org.duoattention.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Probe;
import org.duoattention.api.backend.Requirements;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What the two providers answer before a device is open. */
class CpuOptionsTest {
    private static final ModelShape SHAPE = new ModelShape(1, 8, 2, 1, 4, 8, 10);
    private static final BlockFormat INT8 = new BlockFormat.Grouped(8, 4, false, DType.F16);

    static Stream<AttentionBackend> backends() {
        return Stream.of(new CpuVectorBackend(), new CpuScalarBackend());
    }

    private static Requirements requirements(Set<DType> weights, BlockFormat kv, Set<Capability> capabilities) {
        return new Requirements("tiny", SHAPE, weights, kv, capabilities);
    }

    @ParameterizedTest
    @MethodSource("backends")
    void namesEverythingThatIsMissing(AttentionBackend backend) {
        Probe probe = backend.probe(requirements(Set.of(DType.F16, DType.F64), INT8, Set.of(Capability.SNAPSHOT)));

        assertThat(probe)
                .isEqualTo(new Probe.Unusable(List.of(
                        "weights of type F64 are not supported; convert them to F32, F16 or BF16",
                        "kv=int8 is supported with offsets and F16 scales only")));
    }

    @Test
    void scoresNeedTheScalarBackend() {
        Requirements scores = requirements(Set.of(DType.F32), BlockFormat.F16, Set.of(Capability.SCORES));

        assertThat(new CpuVectorBackend().probe(scores))
                .isEqualTo(new Probe.Unusable(
                        List.of("attention scores are not supported; choose the backend cpu-scalar")));
        assertThat(new CpuScalarBackend().probe(scores)).isInstanceOf(Probe.Usable.class);
    }

    @Test
    void theVectorBackendComesFirst() {
        Requirements plain = requirements(Set.of(DType.F32), BlockFormat.BF16, Set.of());

        assertThat(new CpuVectorBackend().probe(plain))
                .isInstanceOfSatisfying(
                        Probe.Usable.class,
                        usable -> assertThat(usable.priority()).isEqualTo(50));
        assertThat(new CpuScalarBackend().probe(plain))
                .isInstanceOfSatisfying(
                        Probe.Usable.class,
                        usable -> assertThat(usable.priority()).isEqualTo(1));
    }

    @ParameterizedTest
    @MethodSource("backends")
    void rejectsOptionsThatItDoesNotKnow(AttentionBackend backend) {
        assertThatThrownBy(() -> backend.open(Map.of("thread", "2")))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageStartingWith("backend " + backend.id() + " has no option 'thread'; it has ")
                .hasMessageEndingWith("threads");
    }

    @ParameterizedTest
    @ValueSource(strings = {"0", "-1", "two", "", "1000000", "99999999999"})
    void rejectsThreadsThatDoNotExist(String threads) {
        backends()
                .forEach(backend -> assertThatThrownBy(() -> backend.open(Map.of("threads", threads)))
                        .isInstanceOf(IllegalArgumentException.class)
                        .hasMessage("option threads must be a number from 1 to "
                                + Runtime.getRuntime().availableProcessors() + ", not '" + threads + "'"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"int4", "INT8", "", "true"})
    void rejectsActivationsThatDoNotExist(String activations) {
        assertThatThrownBy(() -> new CpuVectorBackend().open(Map.of("activations", activations)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("option activations must be int8 or exact, not '" + activations + "'");
        assertThatThrownBy(() -> new CpuScalarBackend().open(Map.of("activations", "exact")))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("backend cpu-scalar has no option 'activations'; it has threads");
    }

    @ParameterizedTest
    @MethodSource("backends")
    void oneThreadIsSaidSo(AttentionBackend backend) {
        try (Device device = backend.open(Map.of("threads", "1"))) {
            assertThat(device.backendId()).isEqualTo(backend.id());
            assertThat(device.description()).endsWith(", 1 thread");
        }
    }
}
