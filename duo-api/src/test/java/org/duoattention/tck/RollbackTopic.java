package org.duoattention.tck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.tensor.BlockFormat;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Truncation is exact or refused. The oracle's history is cut where the slab is, and other tokens follow: a slab that
 * still shows what was taken back, or lost what an eviction had hidden, gives other numbers.
 */
abstract class RollbackTopic extends BackendTopic {
    @BeforeEach
    void needsRollback() {
        assumeTrue(subject.supports(Capability.ROLLBACK), "skipped: the backend has no rollback");
    }

    private SlabRun run(Retention retention, int maxChunk, int undo, PrefillMode mode) {
        SlabSpec spec = new SlabSpec(
                SlabRun.shape(2, 4, 64), 0, HeadSet.of(0, 1), BlockFormat.F16, retention, 1000, maxChunk, undo);
        return new SlabRun(
                rig, spec, mode, subject.operandRounding().applyAsDouble(org.duoattention.api.tensor.DType.F16));
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 1, 12, 13, 19, 20})
    void retrievalHeadsGoBackToAnyLength(long length) {
        SlabRun run = run(new Retention.All(), 13, 0, PrefillMode.UPSTREAM);
        run.chunk("before", 13);
        run.chunk("before", 7);
        assertThat(run.slab.minLength()).isZero();
        run.truncate(length);
        assertThat(run.slab.length()).isEqualTo(length);
        assertThat(rig.stream.slots(run.slab, 1).positions())
                .isEqualTo(LongStream.range(0, length).toArray());
        run.chunk("after truncation to " + length, 13);
        run.chunk("after truncation to " + length, 1);
    }

    static Stream<Arguments> undos() {
        return Stream.of(PrefillMode.values())
                .flatMap(mode -> Stream.of(
                        Arguments.of(mode, 4, 8, 1),
                        Arguments.of(mode, 4, 8, 5),
                        Arguments.of(mode, 0, 3, 7),
                        Arguments.of(mode, 7, 1, 13),
                        Arguments.of(mode, 100, 3, 5),
                        Arguments.of(mode, 2, 13, 40)));
    }

    private void assumeMode(PrefillMode mode) {
        assumeTrue(
                mode == PrefillMode.UPSTREAM || subject.supports(Capability.WINDOW_PREFILL),
                "skipped: the backend has no window prefill mode");
    }

    @ParameterizedTest(name = "{0}, {1} sinks, {2} recent, undo {3}")
    @MethodSource("undos")
    void streamingHeadsGoBackAfterEvictions(PrefillMode mode, int sinks, int recent, int undo) {
        assumeMode(mode);
        SlabRun run = run(new Retention.SinkAndRecent(sinks, recent), 13, undo, mode);
        int[] chunks = {13, 13, 1, 1, 5, 1, 13, 2, 1, 1, 13};
        long longest = 0;
        for (int i = 0; i < chunks.length; i++) {
            run.chunk("undo " + undo, chunks[i]);
            long length = run.slab.length();
            long least = run.slab.minLength();
            longest = Math.max(longest, length);
            assertThat(least)
                    .as("minLength at length %d, after at most %d tokens, with undo %d", length, longest, undo)
                    .isBetween(0L, Math.max(0, longest - undo));
            long target = switch (i % 3) {
                case 0 -> length;
                case 1 -> Math.min(length, Math.max(least, longest - undo));
                default -> least;
            };
            if (target > 0) {
                run.truncate(target);
                checkSlots(run, target);
                run.chunk("undo " + undo + ", after truncation to " + target, 1);
                checkSlots(run, target + 1);
            }
        }
    }

    private void checkSlots(SlabRun run, long length) {
        Retention.SinkAndRecent retention = (Retention.SinkAndRecent) run.spec.retention();
        assertThat(run.slab.length()).isEqualTo(length);
        assertThat(rig.stream.slots(run.slab, 0).positions())
                .as("slots at length %d of %s", length, retention)
                .isEqualTo(LongStream.range(0, length)
                        .filter(j -> j < retention.sinks() || j >= length - retention.recent())
                        .toArray());
    }

    @ParameterizedTest(name = "{0}, {1} sinks, {2} recent, undo {3}")
    @MethodSource("undos")
    void partOfAChunkIsTakenBackBeforeItsEviction(PrefillMode mode, int sinks, int recent, int undo) {
        assumeMode(mode);
        SlabRun run = run(new Retention.SinkAndRecent(sinks, recent), 13, undo, mode);
        for (int i = 0; i < 6; i++) {
            run.append(13);
            run.attend("proposed tokens");
            run.truncate(run.slab.length() - 9);
            rig.stream.evict(run.slab);
            checkSlots(run, 4L * (i + 1));
        }
        run.chunk("after the proposals", 13);
    }

    @Test
    void repeatedTruncationStaysExact() {
        SlabRun run = run(new Retention.SinkAndRecent(2, 5), 13, 6, PrefillMode.UPSTREAM);
        for (int i = 0; i < 4; i++) {
            run.chunk("before", 13);
        }
        run.truncate(50);
        rig.stream.evict(run.slab);
        run.truncate(48);
        rig.stream.evict(run.slab);
        assertThat(run.slab.minLength()).isLessThanOrEqualTo(46);
        run.truncate(46);
        checkSlots(run, 46);
        run.chunk("after three truncations", 13);
        run.truncate(53);
        run.chunk("after a fourth", 1);
    }

    @Test
    void whatCannotBeTakenBackIsRefused() {
        SlabRun run = run(new Retention.SinkAndRecent(2, 5), 13, 6, PrefillMode.UPSTREAM);
        for (int i = 0; i < 5; i++) {
            run.chunk("before", 13);
        }
        long least = run.slab.minLength();
        assertThat(least).as("a slab that evicted cannot go back to the start").isPositive();
        for (long length : new long[] {least - 1, 0, -1, 66, Long.MAX_VALUE, Long.MIN_VALUE}) {
            assertThatThrownBy(() -> rig.stream.truncate(run.slab, length))
                    .as("truncate to %d between %d and 65", length, least)
                    .isInstanceOf(IllegalArgumentException.class);
            assertThat(run.slab.length()).isEqualTo(65);
            assertThat(run.slab.minLength()).isEqualTo(least);
        }
        checkSlots(run, 65);
        run.chunk("after refused truncations", 13);
    }
}
