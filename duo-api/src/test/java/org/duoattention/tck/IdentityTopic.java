package org.duoattention.tck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Probe;
import org.duoattention.api.backend.Requirements;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.backend.UnsupportedCapabilityException;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.cache.ScoreSpec;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.api.tensor.QuantizedSpec;
import org.junit.jupiter.api.Test;

/** What a backend says of itself, and how it refuses what it says that it cannot do. */
abstract class IdentityTopic extends BackendTopic {
    private Requirements requirements(Set<DType> weights, BlockFormat kv, Set<Capability> capabilities) {
        return new Requirements("tiny", SlabRun.shape(2, 4, 64), weights, kv, capabilities);
    }

    private Set<Capability> supported() {
        EnumSet<Capability> supported = EnumSet.allOf(Capability.class);
        supported.removeAll(subject.unsupported());
        return supported;
    }

    @Test
    void theIdIsFitForAnOption() {
        assertThat(subject.backend().id()).matches("[a-z0-9-]+").isEqualTo(device.backendId());
        assertThat(device.description()).isNotBlank().doesNotContain("\n");
    }

    @Test
    void probeAnswersAndNeverThrows() {
        List<BlockFormat> formats = new ArrayList<>(SlabRun.formats());
        if (subject.supports(Capability.QUANTIZED_CACHE)) {
            formats.addAll(SlabRun.quantizedFormats());
        }
        for (BlockFormat kv : formats) {
            for (DType weights : List.of(DType.F32, DType.F16, DType.BF16)) {
                Probe answer = subject.backend().probe(requirements(Set.of(weights), kv, supported()));
                assertThat(answer)
                        .isInstanceOfSatisfying(
                                Probe.Usable.class,
                                usable -> assertThat(usable.description())
                                        .isNotBlank()
                                        .doesNotContain("\n"));
            }
        }
        List<Requirements> odd = new ArrayList<>();
        odd.add(requirements(Set.of(), BlockFormat.F32, Set.of()));
        odd.add(requirements(EnumSet.allOf(DType.class), BlockFormat.F32, Set.of()));
        odd.add(requirements(Set.of(DType.F32), new BlockFormat.Grouped(4, 2, true, DType.F16), Set.of()));
        odd.add(requirements(Set.of(DType.F32), new BlockFormat.Grouped(8, 1 << 30, false, DType.F32), Set.of()));
        for (Requirements requirements : odd) {
            if (subject.backend().probe(requirements) instanceof Probe.Unusable unusable) {
                assertThat(unusable.reasons())
                        .allSatisfy(reason -> assertThat(reason).isNotBlank().doesNotContain("\n"));
            }
        }
        assertThat(subject.backend().probe(odd.get(1)))
                .as("weights of every type")
                .isInstanceOf(Probe.Unusable.class);
    }

    @Test
    void probeNamesMissingCapabilities() {
        for (Capability missing : subject.unsupported()) {
            assertThat(subject.backend().probe(requirements(Set.of(DType.F32), BlockFormat.F32, Set.of(missing))))
                    .as("%s is required", missing)
                    .isInstanceOf(Probe.Unusable.class);
        }
    }

    @Test
    void unknownOptionsAreRefused() {
        Map<String, String> options = new HashMap<>(subject.options());
        options.put("no-such-option", "1");
        assertThatThrownBy(() -> subject.backend().open(options).close())
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("no-such-option")
                .message()
                .doesNotContain("\n");
    }

    @Test
    void unsupportedFormatsAreRefused() {
        BlockFormat format = new BlockFormat.Grouped(4, 32, true, DType.F16);
        Probe probe = subject.backend().probe(requirements(Set.of(DType.F32), format, Set.of()));
        SlabSpec spec =
                new SlabSpec(SlabRun.shape(1, 1, 64), 0, HeadSet.range(1), format, new Retention.All(), 10, 1, 0);
        if (probe instanceof Probe.Usable) {
            assertThat(rig.slab(spec).bytes()).isGreaterThanOrEqualTo(10 * 2 * format.rowBytes(64));
        } else {
            assertThatThrownBy(() -> rig.slab(spec))
                    .isInstanceOfAny(IllegalArgumentException.class, UnsupportedCapabilityException.class);
        }
    }

    @Test
    void capabilitiesAreAllButTheUnsupported() {
        assertThat(device.capabilities()).containsExactlyInAnyOrderElementsOf(supported());
    }

    @Test
    void undeclaredCapabilitiesAreRefused() {
        ScoreSpec scores = new ScoreSpec(1, false, false);
        Tensor rows = rig.zeros(DType.F32, 1, 8);
        Tensor out = rig.zeros(DType.F32, 1, 8);
        Slab slab = rig.slab(EveryOperation.spec(new Retention.All()));
        Slab streaming = rig.slab(EveryOperation.spec(new Retention.SinkAndRecent(1, 1)));
        rig.stream.append(slab, rows, rows);
        rig.stream.append(streaming, rows, rows);
        QuantizedMatrix matrix = QuantizedNumbers.of(
                        new QuantizedSpec(new BlockFormat.Grouped(8, 8, false, DType.F32), 8, 8), rig.random)
                .matrix(rig.arena);
        SlabSpec quantized = new SlabSpec(
                SlabRun.shape(1, 1, 64),
                0,
                HeadSet.range(1),
                new BlockFormat.Grouped(8, 64, true, DType.F16),
                new Retention.All(),
                10,
                1,
                0);
        for (Capability missing : subject.unsupported()) {
            List<ThrowingCallable> calls = switch (missing) {
                case SCORES ->
                    List.of(
                            () -> rig.slab(EveryOperation.spec(new Retention.TopScored(4, 1, 1, scores))),
                            () -> rig.slab(EveryOperation.spec(
                                    new Retention.Custom(4, Optional.of(scores), (slots, budget) -> new int[0]))));
                case WINDOW_PREFILL ->
                    List.of(
                            () -> rig.stream.attend(slab, rows, 1, PrefillMode.WINDOW, out),
                            () -> rig.stream.attend(streaming, rows, 1, PrefillMode.WINDOW, out),
                            () -> rig.stream.attendAll(List.of(slab), rows, 1, PrefillMode.WINDOW, out));
                case ROLLBACK -> List.of(() -> rig.stream.truncate(slab, 0), () -> rig.stream.truncate(slab, 1));
                case SNAPSHOT ->
                    List.of(
                            () -> rig.stream.saveBytes(slab),
                            () -> rig.stream.save(slab, rig.arena.allocate(8)),
                            () -> rig.stream.restore(slab, rig.arena.allocate(8)));
                case QUANTIZED_WEIGHTS ->
                    List.of(() -> rig.closing(device.adopt(matrix)), () -> device.bytes(matrix.spec()));
                case GRADIENTS -> List.of(() -> rig.stream.gradients());
                case QUANTIZED_CACHE -> List.of(() -> device.bytes(quantized), () -> rig.slab(quantized));
            };
            for (ThrowingCallable call : calls) {
                assertThatThrownBy(call)
                        .as("%s", missing)
                        .isInstanceOfSatisfying(UnsupportedCapabilityException.class, e -> {
                            assertThat(e.backendId())
                                    .isEqualTo(subject.backend().id());
                            assertThat(e.capability()).isEqualTo(missing);
                        });
            }
        }
        assertThat(slab.length()).isEqualTo(1);
    }
}
