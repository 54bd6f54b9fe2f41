package org.duoattention.core.spi;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Probe;
import org.duoattention.api.backend.Requirements;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.core.DuoException;
import org.junit.jupiter.api.Test;

class BackendsTest {
    private static final Requirements REQUIREMENTS = new Requirements(
            "llama-3-8b",
            new ModelShape(2, 8, 4, 2, 2, 8, 16),
            Set.of(DType.BF16),
            new BlockFormat.Grouped(8, 2, true, DType.F16),
            Set.of());

    private record Fake(String id, Probe probe) implements AttentionBackend {
        @Override
        public Probe probe(Requirements requirements) {
            return probe;
        }

        @Override
        public Device open(Map<String, String> options) {
            throw new IllegalArgumentException(
                    (options.containsKey("device") ? "backend " + id + " has no option " : "unknown option ")
                            + options.keySet());
        }
    }

    private static Fake usable(String id, int priority) {
        return new Fake(id, new Probe.Usable(priority, "fine"));
    }

    private static Fake unusable(String id, String... reasons) {
        return new Fake(id, new Probe.Unusable(List.of(reasons)));
    }

    private static Backends of(AttentionBackend... backends) {
        return new Backends(ProviderRegistry.of("backend", List.of(backends), AttentionBackend::id));
    }

    @Test
    void theHighestPriorityWins() {
        Backends backends = of(usable("slow", 1), usable("fast", 50), unusable("fastest", "no device"));
        assertThat(backends.choose(REQUIREMENTS, Optional.empty()).id()).isEqualTo("fast");
        assertThat(backends.choose(REQUIREMENTS, Optional.of("slow")).id()).isEqualTo("slow");
    }

    @Test
    void whenNothingIsUsableEveryReasonIsTold() {
        Backends backends = of(
                unusable("cuda", "driver not found (libcuda.so.1)"),
                unusable("cpu", "needs jdk.incubator.vector; add --add-modules jdk.incubator.vector"));
        assertThatThrownBy(() -> backends.choose(REQUIREMENTS, Optional.empty()))
                .isInstanceOf(DuoException.class)
                .message()
                .startsWith("No attention backend can run llama-3-8b (kv=INT8):\n")
                .containsPattern("  cpu  \\[.+\\]: needs jdk.incubator.vector; add --add-modules jdk.incubator.vector")
                .containsPattern("  cuda \\[.+\\]: driver not found \\(libcuda.so.1\\)");
    }

    @Test
    void tiesUnknownIdsAndDuplicatesAreErrors() {
        refused(
                () -> of(usable("a", 5), usable("b", 5)).choose(REQUIREMENTS, Optional.empty()),
                "both claim priority 5");
        refused(() -> of(usable("a", 5)).choose(REQUIREMENTS, Optional.of("z")), "Unknown backend 'z'; there are: a");
        refused(() -> of(usable("a", 5), usable("a", 6)), "Two providers offer the backend 'a'");
        refused(
                () -> of(unusable("a", "no luck")).choose(REQUIREMENTS, Optional.of("a")),
                "Backend a cannot run llama-3-8b (kv=INT8): no luck");
        refused(
                () -> of(unusable("a", "no luck"), usable("b", 1), usable("c", 2))
                        .choose(REQUIREMENTS, Optional.of("a")),
                "no luck; b, c can");
        refused(() -> of().choose(REQUIREMENTS, Optional.empty()), "none is on the path");
    }

    @Test
    void aProbeThatThrowsIsUnusable() {
        AttentionBackend broken = new AttentionBackend() {
            @Override
            public String id() {
                return "broken";
            }

            @Override
            public Probe probe(Requirements requirements) {
                throw new NoClassDefFoundError("some/Native");
            }

            @Override
            public Device open(Map<String, String> options) {
                throw new UnsupportedOperationException();
            }
        };
        assertThat(of(broken, usable("a", 1))
                        .choose(REQUIREMENTS, Optional.empty())
                        .id())
                .isEqualTo("a");
    }

    @Test
    void aRefusedOptionIsToldByTheBackendsName() {
        refused(
                () -> of(usable("a", 5)).open(REQUIREMENTS, Optional.empty(), Map.of("x", "1")),
                "Backend a: unknown option [x]");
        refused(
                () -> of(usable("a", 5)).open(REQUIREMENTS, Optional.empty(), Map.of("device", "1")),
                "Backend a has no option [device]");
    }

    private static void refused(Runnable action, String sentence) {
        assertThatThrownBy(action::run).isInstanceOf(DuoException.class).hasMessageContaining(sentence);
    }
}
