package org.duoattention.core.session;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.cache.CachePlan;
import org.duoattention.api.cache.KVCachePolicy;
import org.duoattention.api.cache.PlanContext;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.cache.ScoreSpec;
import org.duoattention.api.cache.SlabPlan;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.core.DuoException;
import org.duoattention.core.spi.Backends;
import org.duoattention.core.spi.ProviderRegistry;
import org.duoattention.tck.AssertingBackend;
import org.duoattention.tck.OpaqueBackend;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Retentions that the core lowers to compaction, through whole sessions. */
class ScoredRetentionTest {
    private static final int[] PROMPT =
            IntStream.range(0, 70).map(i -> 3 + i * 29 % 61).toArray();

    private record Uniform(String name, Retention retention) implements KVCachePolicy {
        @Override
        public CachePlan plan(PlanContext context) {
            HeadSet all = HeadSet.range(context.shape().kvHeads());
            return new CachePlan(
                    context.shape(),
                    IntStream.range(0, context.shape().layers())
                            .mapToObj(layer -> new SlabPlan(layer, all, retention))
                            .toList());
        }
    }

    private static float[] run(Path directory, AttentionBackend backend, Retention retention) {
        Uniform policy = new Uniform("custom", retention);
        Duo duo = new Duo(
                new Backends(ProviderRegistry.of("backend", List.of(backend), AttentionBackend::id)),
                ProviderRegistry.of("policy", List.of(policy), KVCachePolicy::name),
                Duo.loadHeadMaskSources());
        try (Model model = duo.model(directory).open();
                Session session = model.session()
                        .policy("custom")
                        .kv(BlockFormat.F32)
                        .chunk(8)
                        .maxContext(100)
                        .open()) {
            session.prefill(PROMPT);
            session.generate(GenerationRequest.builder()
                            .maxNewTokens(5)
                            .ignoreEndTokens()
                            .build())
                    .forEach(event -> {});
            return session.logits();
        }
    }

    private static float[] onOpaque(Path directory, Retention retention) {
        AssertingBackend backend = new AssertingBackend(new OpaqueBackend());
        float[] logits = run(directory, backend, retention);
        backend.assertClosed();
        return logits;
    }

    @Test
    void aBudgetThatHoldsEverythingIsFullAttention(@TempDir Path directory) {
        TinyCheckpoint.write(directory);
        float[] full = onOpaque(directory, new Retention.All());
        assertThat(onOpaque(directory, new Retention.TopScored(100, 0, 4, new ScoreSpec(4, true, false))))
                .isEqualTo(full);
        assertThat(onOpaque(directory, new Retention.TopScored(20, 0, 4, new ScoreSpec(4, true, false))))
                .isNotEqualTo(full);
    }

    @Test
    void aSelectorThatKeepsSinksAndRecentTokensIsStreaming(@TempDir Path directory) {
        TinyCheckpoint.write(directory);
        Retention.Custom custom = new Retention.Custom(
                12,
                Optional.empty(),
                (slots, budget) -> IntStream.range(0, slots.size())
                        .filter(i -> i < 2 || i >= slots.size() - 10)
                        .toArray());
        assertThat(onOpaque(directory, custom)).isEqualTo(onOpaque(directory, new Retention.SinkAndRecent(2, 10)));
    }

    @Test
    void aTopScoredBudgetOfSinksAndRecentTokensOnlyIsStreaming(@TempDir Path directory) {
        TinyCheckpoint.write(directory);
        Retention scored = new Retention.TopScored(12, 2, 10, new ScoreSpec(1, false, true));
        assertThat(onOpaque(directory, scored)).isEqualTo(onOpaque(directory, new Retention.SinkAndRecent(2, 10)));
    }

    @Test
    void aBackendWithoutScoresIsRefusedWithBothNames(@TempDir Path directory) {
        TinyCheckpoint.write(directory);
        OpaqueBackend blind = new OpaqueBackend(OpaqueBackend.DEFAULT_MEMORY, EnumSet.of(Capability.SCORES));
        assertThatThrownBy(
                        () -> run(directory, blind, new Retention.TopScored(12, 2, 4, new ScoreSpec(1, true, false))))
                .isInstanceOf(DuoException.class)
                .message()
                .contains("Policy custom", "attention scores", "backend opaque");
    }

    @Test
    void aSelectorThatBreaksItsContractIsToldSo(@TempDir Path directory) {
        TinyCheckpoint.write(directory);
        Retention.Custom broken = new Retention.Custom(12, Optional.empty(), (slots, budget) -> new int[] {3, 1});
        assertThatThrownBy(() -> run(directory, new OpaqueBackend(), broken))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("strictly ascending indices");
    }
}
