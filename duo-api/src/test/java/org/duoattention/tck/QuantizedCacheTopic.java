package org.duoattention.tck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Slabs that quantise keys and values. Most tests use rows that quantising does not change, so that the bounds are those
 * of binary32; {@link #anyRowsMoveByHalfAStepAtMost} uses arbitrary ones.
 */
abstract class QuantizedCacheTopic extends BackendTopic {
    private static final Retention ALL = new Retention.All();
    private static final Retention STREAMING = new Retention.SinkAndRecent(4, 9);

    @BeforeEach
    void needsQuantizedCache() {
        assumeTrue(subject.supports(Capability.QUANTIZED_CACHE), "skipped: the backend has no quantised cache");
    }

    private SlabRun run(ModelShape shape, BlockFormat format, Retention retention, int chunk, int undo) {
        SlabSpec spec = new SlabSpec(shape, 0, HeadSet.range(shape.kvHeads()), format, retention, 2000, chunk, undo);
        return new SlabRun(rig, spec, PrefillMode.UPSTREAM, 0);
    }

    /** Every common head dim with every group of heads and both formats, the formats' groups in turns, and the {@link #others}. */
    static Stream<Arguments> shapes() {
        List<Arguments> shapes = new ArrayList<>();
        for (int dim : new int[] {32, 64, 128}) {
            List<Integer> sizes =
                    Stream.of(128, 32, 64).filter(size -> size <= dim).toList();
            for (int bits : new int[] {4, 8}) {
                int turn = bits / 8;
                for (int group : new int[] {1, 4, 8}) {
                    int size = sizes.get(turn++ % sizes.size());
                    shapes.add(Arguments.of(dim, group, new BlockFormat.Grouped(bits, size, true, DType.F16)));
                }
            }
        }
        return Stream.concat(shapes.stream(), others());
    }

    /**
     * Head dims that are no powers of two, whose one group ends within vectors, tiles and panels that the common dims fill;
     * groups that are no multiple of a vector; and heads of 256, the largest of the models that are known. Fewer than of the
     * common dims, as what depends on the group of heads is seen there.
     */
    private static Stream<Arguments> others() {
        return Stream.of(
                Arguments.of(80, 1, new BlockFormat.Grouped(8, 80, true, DType.F16)),
                Arguments.of(80, 8, new BlockFormat.Grouped(4, 20, true, DType.F16)),
                Arguments.of(96, 4, new BlockFormat.Grouped(4, 96, true, DType.F16)),
                Arguments.of(112, 4, new BlockFormat.Grouped(8, 112, true, DType.F16)),
                Arguments.of(256, 1, new BlockFormat.Grouped(8, 256, true, DType.F16)),
                Arguments.of(256, 4, new BlockFormat.Grouped(4, 64, true, DType.F16)));
    }

    @ParameterizedTest(name = "head dim {0}, {1} query heads per KV head, {2}")
    @MethodSource("shapes")
    void retrievalHeads(int dim, int group, BlockFormat format) {
        SlabRun run = run(SlabRun.shape(2, group, dim), format, ALL, 129, 0);
        for (int tokens : new int[] {13, 1, 7, 1, 129, 1, 1}) {
            run.chunk("retrieval", tokens);
        }
    }

    @ParameterizedTest(name = "head dim {0}, {1} query heads per KV head, {2}")
    @MethodSource("shapes")
    void streamingHeads(int dim, int group, BlockFormat format) {
        SlabRun run = run(SlabRun.shape(2, group, dim), format, STREAMING, 40, 0);
        long length = 0;
        for (int tokens : new int[] {13, 1, 7, 1, 40, 1, 1, 40}) {
            run.chunk("streaming", tokens);
            length += tokens;
            long seen = length;
            assertThat(rig.stream.slots(run.slab, 1).positions())
                    .isEqualTo(LongStream.range(0, seen)
                            .filter(j -> j < 4 || j >= seen - 9)
                            .toArray());
        }
    }

    @ParameterizedTest(name = "head dim {0}, {1} query heads per KV head, {2}")
    @MethodSource("shapes")
    void anyRowsMoveByHalfAStepAtMost(int dim, int group, BlockFormat format) {
        SlabRun run = run(SlabRun.shape(2, group, dim), format, ALL, 129, 0);
        run.exact = false;
        for (double magnitude : new double[] {1e-3, 1, 10}) {
            run.magnitude = magnitude;
            for (int tokens : new int[] {1, 33, 1}) {
                run.chunk("numbers up to " + magnitude, tokens);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("org.duoattention.tck.SlabRun#quantizedFormats")
    void constantRowsAndRowsOfOneLargeElement(BlockFormat format) {
        SlabRun run = run(SlabRun.shape(1, 2, 64), format, ALL, 8, 0);
        run.exact = false;
        double[] rows = new double[4 * 64];
        Arrays.fill(rows, 64, 128, 1.0);
        Arrays.fill(rows, 128, 192, -0.1f);
        rows[200] = 3000;
        run.append(rows, rows);
        run.attend("zeros, ones, tenths, one large", run.randomRows(4, run.shape.queryWidth()));
    }

    @ParameterizedTest
    @MethodSource("org.duoattention.tck.SlabRun#quantizedFormats")
    void longSlabs(BlockFormat format) {
        SlabRun run = run(SlabRun.shape(1, 4, 64), format, ALL, 531, 0);
        run.append(531);
        double[] q = run.randomRows(531, run.shape.queryWidth());
        run.attend("531 tokens at once", q);
        run.chunk("one more", 1);
        run.chunk("one more", 1);
    }

    @ParameterizedTest
    @MethodSource("org.duoattention.tck.SlabRun#quantizedFormats")
    void windowMode(BlockFormat format) {
        assumeTrue(subject.supports(Capability.WINDOW_PREFILL), "skipped: the backend has no window prefill mode");
        SlabSpec spec = new SlabSpec(SlabRun.shape(2, 2, 64), 0, HeadSet.range(2), format, STREAMING, 1000, 50, 0);
        SlabRun run = new SlabRun(rig, spec, PrefillMode.WINDOW, 0);
        for (int tokens : new int[] {50, 1, 50, 7}) {
            run.chunk("window", tokens);
        }
    }

    static Stream<Arguments> slabs() {
        return Stream.of(ALL, STREAMING)
                .flatMap(retention ->
                        SlabRun.quantizedFormats().stream().map(format -> Arguments.of(retention, format)));
    }

    @ParameterizedTest
    @MethodSource("slabs")
    void rollback(Retention retention, BlockFormat format) {
        assumeTrue(subject.supports(Capability.ROLLBACK), "skipped: the backend has no rollback");
        SlabRun run = run(SlabRun.shape(2, 2, 64), format, retention, 13, 5);
        for (int i = 0; i < 5; i++) {
            run.chunk("before", 13);
            run.truncate(run.slab.length() - 5);
            run.chunk("after a rollback", 3);
        }
    }

    @ParameterizedTest
    @MethodSource("slabs")
    void snapshots(Retention retention, BlockFormat format) {
        assumeTrue(subject.supports(Capability.SNAPSHOT), "skipped: the backend does not save slabs");
        SlabRun run = run(SlabRun.shape(3, 2, 64), format, retention, 13, 0);
        for (int i = 0; i < 3; i++) {
            run.chunk("saved", 13);
            SlabRun restored = run.fork();
            rig.stream.restore(restored.slab, run.save());
            restored.chunk("restored", 7);
            restored.chunk("restored", 1);
        }
        MemorySegment snapshot = run.save();
        BlockFormat.Grouped other = new BlockFormat.Grouped(((BlockFormat.Grouped) format).bits(), 16, true, DType.F16);
        SlabRun another = run(SlabRun.shape(3, 2, 64), other, retention, 13, 0);
        assertThatThrownBy(() -> rig.stream.restore(another.slab, snapshot))
                .isInstanceOf(IllegalArgumentException.class);
    }

    @ParameterizedTest
    @MethodSource("org.duoattention.tck.SlabRun#quantizedFormats")
    void compaction(BlockFormat format) {
        Retention retention = new Retention.Custom(50, Optional.empty(), (slots, budget) -> new int[0]);
        SlabRun run = run(SlabRun.shape(2, 2, 64), format, retention, 70, 0);
        run.visibility = (head, i, j) -> j <= i;
        run.append(70);
        run.attend("before");
        int[] even = IntStream.range(0, 35).map(i -> 2 * i).toArray();
        int[] odd = IntStream.range(0, 35).map(i -> 2 * i + 1).toArray();
        rig.stream.compact(run.slab, List.of(even, odd));
        run.visibility = (head, i, j) -> j <= i && (j >= 70 || j % 2 == head);
        run.append(5);
        run.attend("after compaction");
    }

    @ParameterizedTest
    @MethodSource("slabs")
    void bytesAreWhatIsAllocated(Retention retention, BlockFormat format) {
        for (int heads = 1; heads <= 3; heads++) {
            SlabSpec spec =
                    new SlabSpec(SlabRun.shape(3, 4, 64), 0, HeadSet.range(heads), format, retention, 777, 32, 5);
            long before = device.allocatedBytes();
            long payload = spec.slotCapacity() * heads * 2 * format.rowBytes(64);
            try (Slab slab = device.allocate(spec)) {
                assertThat(slab.bytes()).as("bytes of %s", spec).isGreaterThanOrEqualTo(payload);
                assertThat(device.bytes(spec)).isEqualTo(slab.bytes());
                assertThat(device.allocatedBytes() - before).isEqualTo(slab.bytes());
            }
            assertThat(device.allocatedBytes()).isEqualTo(before);
        }
        SlabSpec large = new SlabSpec(SlabRun.shape(1, 1, 64), 0, HeadSet.range(1), format, ALL, 1_000_000, 32, 0);
        assertThat(device.bytes(large))
                .as("bytes of a long slab: little padding, and room for a position and a score per slot")
                .isBetween(2_000_000 * format.rowBytes(64), 2_001_000 * format.rowBytes(64) + 12_000_000);
    }

    @Test
    void formatsThatAreNotThoseOfACacheAreRefused() {
        for (BlockFormat format : List.of(
                new BlockFormat.Grouped(8, 64, false, DType.F16),
                new BlockFormat.Grouped(8, 64, true, DType.F32),
                new BlockFormat.Grouped(8, 48, true, DType.F16))) {
            SlabSpec spec = new SlabSpec(SlabRun.shape(1, 1, 64), 0, HeadSet.range(1), format, ALL, 10, 1, 0);
            assertThatThrownBy(() -> rig.slab(spec)).as("%s", format).isInstanceOf(IllegalArgumentException.class);
        }
    }
}
