package org.duoattention.tck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.cache.ScoreSpec;
import org.duoattention.api.cache.SlotTable;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Slabs whose slots the caller chooses, and the scores that it may choose by. */
abstract class CompactionTopic extends BackendTopic {
    private static final HeadSet HEADS = HeadSet.of(0, 2);
    private static final int DIM = 64;
    private static final int GROUP = 4;

    /** Which positions each head still has. */
    private final Map<Integer, List<Long>> kept = new LinkedHashMap<>();

    private SlabRun run(Retention retention, BlockFormat format) {
        SlabSpec spec = new SlabSpec(SlabRun.shape(3, GROUP, DIM), 0, HEADS, format, retention, 1000, 13, 0);
        SlabRun run = new SlabRun(
                rig,
                spec,
                PrefillMode.UPSTREAM,
                subject.operandRounding().applyAsDouble(((BlockFormat.Dense) format).dtype()));
        kept.clear();
        HEADS.stream().forEach(head -> kept.put(head, new ArrayList<>()));
        Map<Integer, Set<Long>> sets = new LinkedHashMap<>();
        run.visibility = (head, i, j) -> j <= i
                && (j >= run.chunkStart
                        || sets.computeIfAbsent(head, h -> new HashSet<>()).contains(j));
        keptSets = sets;
        return run;
    }

    private Map<Integer, Set<Long>> keptSets = Map.of();

    private static Retention custom() {
        return new Retention.Custom(13, Optional.empty(), (slots, budget) -> new int[0]);
    }

    private void append(SlabRun run, int tokens) {
        HEADS.stream().forEach(head -> keptSets.put(head, new HashSet<>(kept.get(head))));
        run.append(tokens);
        for (long j = run.chunkStart; j < run.chunkStart + tokens; j++) {
            for (List<Long> positions : kept.values()) {
                positions.add(j);
            }
        }
    }

    /** Keeps the given slots; what is passed is overwritten after the call. */
    private void compact(SlabRun run, int[]... keep) {
        List<int[]> passed = Stream.of(keep).map(int[]::clone).toList();
        rig.stream.compact(run.slab, passed);
        passed.forEach(indices -> Arrays.fill(indices, 0));
        for (int i = 0; i < keep.length; i++) {
            List<Long> positions = kept.get(HEADS.get(i));
            List<Long> rest = IntStream.of(keep[i]).mapToObj(positions::get).toList();
            kept.put(HEADS.get(i), new ArrayList<>(rest));
        }
    }

    private void checkPositions(SlabRun run) {
        HEADS.stream()
                .forEach(head -> assertThat(rig.stream.slots(run.slab, head).positions())
                        .as("slots of head %d", head)
                        .isEqualTo(kept.get(head).stream()
                                .mapToLong(Long::longValue)
                                .toArray()));
    }

    @ParameterizedTest
    @MethodSource("org.duoattention.tck.SlabRun#formats")
    void everyHeadKeepsItsOwnSlots(BlockFormat format) {
        SlabRun run = run(custom(), format);
        append(run, 13);
        run.attend("before compaction");
        compact(run, new int[] {0, 3, 4, 12}, new int[] {1, 2, 10, 11});
        checkPositions(run);
        assertThat(run.slab.length()).isEqualTo(13);
        append(run, 7);
        run.attend("after compaction");
        compact(run, new int[] {3, 4, 5}, new int[] {0, 1, 10});
        compact(run, new int[] {0, 1, 2}, new int[] {0, 1, 2});
        append(run, 1);
        run.attend("after three compactions");
        compact(run, new int[] {1}, new int[] {3});
        append(run, 13);
        run.attend("after all but one were dropped");
        checkPositions(run);
    }

    @Test
    void badChoicesAreRefused() {
        SlabRun run = run(custom(), BlockFormat.F32);
        append(run, 5);
        run.attend("before");
        Map<String, List<int[]>> bad = new LinkedHashMap<>();
        bad.put("too few heads", List.of(new int[] {0}));
        bad.put("too many heads", List.of(new int[] {0}, new int[] {0}, new int[] {0}));
        bad.put("unequal counts", List.of(new int[] {0, 1}, new int[] {0}));
        bad.put("descending", List.of(new int[] {0, 1}, new int[] {1, 0}));
        bad.put("repeated", List.of(new int[] {0, 1}, new int[] {1, 1}));
        bad.put("negative", List.of(new int[] {-1, 1}, new int[] {0, 1}));
        bad.put("past the end", List.of(new int[] {0, 1}, new int[] {1, 5}));
        bad.forEach((name, keep) -> assertThatThrownBy(() -> rig.stream.compact(run.slab, keep))
                .as(name)
                .isInstanceOf(IllegalArgumentException.class));
        assertThatThrownBy(() -> rig.stream.evict(run.slab)).as("evict").isInstanceOf(IllegalArgumentException.class);
        checkPositions(run);
        append(run, 7);
        run.attend("after refused calls");
    }

    @Test
    void otherRetentionsAreNotCompacted() {
        for (Retention retention : List.of(new Retention.All(), new Retention.SinkAndRecent(1, 2))) {
            SlabRun run = run(retention, BlockFormat.F32);
            run.append(3);
            assertThatThrownBy(() -> rig.stream.compact(run.slab, List.of(new int[] {0}, new int[] {0})))
                    .as("%s", retention)
                    .isInstanceOf(IllegalArgumentException.class);
        }
    }

    @Test
    void aMissingCompactionIsNoticed() {
        SlabRun run = run(custom(), BlockFormat.F32);
        append(run, 13);
        append(run, 13);
        assertThatThrownBy(() -> run.append(1)).isInstanceOf(IllegalStateException.class);
        compact(run, new int[] {0, 1, 2}, new int[] {3, 4, 5});
        append(run, 13);
        run.attend("after the compaction");
    }

    // Scores

    static Stream<ScoreSpec> scoreSpecs() {
        return Stream.of(
                new ScoreSpec(Integer.MAX_VALUE, true, false),
                new ScoreSpec(1, false, true),
                new ScoreSpec(3, false, false),
                new ScoreSpec(2, true, true));
    }

    @ParameterizedTest
    @MethodSource("scoreSpecs")
    void scoresSumTheProbabilities(ScoreSpec spec) {
        assumeTrue(subject.supports(Capability.SCORES), "skipped: the backend has no scores");
        SlabRun run = run(new Retention.TopScored(13, 1, 2, spec), BlockFormat.F16);
        Map<Integer, Map<Long, Double>> scores = new LinkedHashMap<>();
        HEADS.stream().forEach(head -> scores.put(head, new LinkedHashMap<>()));
        int queries = 0;
        for (int tokens : new int[] {13, 1, 7, 5}) {
            append(run, tokens);
            double[] q = run.randomRows(tokens, run.shape.queryWidth());
            run.attend("with scores", q);
            queries += tokens;
            if (!spec.accumulate()) {
                scores.values().forEach(Map::clear);
            }
            HEADS.stream().forEach(head -> addScores(run, spec, q, tokens, head, scores.get(head)));
            checkScores(run, spec, scores, queries);
            if (kept.get(0).size() > 13) {
                int[] others = spec.sharedAcrossHeads() ? new int[] {0, 2, 5, 13} : new int[] {1, 2, 7, 12};
                compact(run, new int[] {0, 2, 5, 13}, others);
                checkScores(run, spec, scores, queries);
            }
        }
        append(run, 2);
        SlotTable slots = rig.stream.slots(run.slab, 0);
        assertThat(Arrays.copyOfRange(slots.scores(), slots.size() - 2, slots.size()))
                .as("scores of slots that no query has seen")
                .containsOnly(0f);
    }

    private static void addScores(
            SlabRun run, ScoreSpec spec, double[] q, int tokens, int head, Map<Long, Double> scores) {
        for (int t = (int) Math.max(0L, (long) tokens - spec.trailingQueries()); t < tokens; t++) {
            for (int g = 0; g < GROUP; g++) {
                double[] p = run.probabilities(q, t, head * GROUP + g);
                for (int j = 0; j < p.length; j++) {
                    scores.merge((long) j, p[j], Double::sum);
                }
            }
        }
    }

    private void checkScores(SlabRun run, ScoreSpec spec, Map<Integer, Map<Long, Double>> scores, int queries) {
        int slots = kept.get(0).size();
        double[][] values = new double[HEADS.size()][slots];
        for (int i = 0; i < HEADS.size(); i++) {
            for (int s = 0; s < slots; s++) {
                values[i][s] = scores.get(HEADS.get(i))
                        .getOrDefault(kept.get(HEADS.get(i)).get(s), 0.0);
            }
        }
        double relative = ErrorBounds.probabilities(
                        slots, DIM, run.scale * DIM, subject.operandRounding().applyAsDouble(DType.F16))
                + queries * GROUP * ErrorBounds.U;
        for (int i = 0; i < HEADS.size(); i++) {
            double[] expected = new double[slots];
            double[] bounds = new double[slots];
            for (int s = 0; s < slots; s++) {
                expected[s] = spec.sharedAcrossHeads() ? (values[0][s] + values[1][s]) / 2 : values[i][s];
                bounds[s] = relative * expected[s] + 0x1p-120;
            }
            SlotTable table = rig.stream.slots(run.slab, HEADS.get(i));
            double[] actual = IntStream.range(0, table.scores().length)
                    .mapToDouble(s -> table.scores()[s])
                    .toArray();
            new Expected(expected, bounds).check("scores of head " + HEADS.get(i) + " by " + spec, actual);
        }
    }
}
