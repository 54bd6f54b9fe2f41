package org.duoattention.tck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.DeviceMemoryException;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Append, attend and evict: retrieval and streaming slabs against the oracle, and the memory they take. */
abstract class AttentionTopic extends BackendTopic {
    private static final Retention ALL = new Retention.All();

    private double operandRounding(BlockFormat format) {
        return subject.operandRounding().applyAsDouble(((BlockFormat.Dense) format).dtype());
    }

    private SlabRun run(SlabSpec spec, PrefillMode mode) {
        return new SlabRun(rig, spec, mode, operandRounding(spec.format()));
    }

    private static SlabSpec spec(ModelShape shape, HeadSet heads, BlockFormat format, Retention retention, int chunk) {
        return new SlabSpec(shape, 0, heads, format, retention, 1000, chunk, 0);
    }

    private void assumeMode(PrefillMode mode) {
        assumeTrue(
                mode == PrefillMode.UPSTREAM || subject.supports(Capability.WINDOW_PREFILL),
                "skipped: the backend has no window prefill mode");
    }

    // Retrieval heads

    static Stream<Arguments> shapes() {
        return Stream.of(8, 13, 64, 128)
                .flatMap(dim -> Stream.of(1, 4, 8)
                        .flatMap(group -> SlabRun.formats().stream().map(format -> Arguments.of(dim, group, format))));
    }

    @ParameterizedTest(name = "head dim {0}, {1} query heads per KV head, {2}")
    @MethodSource("shapes")
    void retrievalHeads(int dim, int group, BlockFormat format) {
        ModelShape shape = SlabRun.shape(2, group, dim);
        SlabRun run = run(spec(shape, HeadSet.range(2), format, ALL, 13), PrefillMode.UPSTREAM);
        for (int tokens : new int[] {13, 1, 7, 1}) {
            run.chunk("retrieval", tokens);
        }
    }

    static Stream<Arguments> chunks() {
        return SlabRun.formats().stream()
                .flatMap(format -> Stream.of(
                                List.of(1),
                                List.of(7, 13),
                                List.of(127, 1),
                                List.of(129),
                                List.of(1, 129, 7),
                                List.of(64, 64, 1))
                        .map(chunks -> Arguments.of(format, chunks)));
    }

    @ParameterizedTest(name = "{0}, chunks of {1}")
    @MethodSource("chunks")
    void retrievalHeadsDoNotDependOnChunks(BlockFormat format, List<Integer> chunks) {
        SlabRun run = run(spec(SlabRun.shape(2, 4, 64), HeadSet.range(2), format, ALL, 129), PrefillMode.UPSTREAM);
        long length = 0;
        for (int tokens : chunks) {
            run.chunk("retrieval, chunks " + chunks, tokens);
            length += tokens;
            assertThat(run.slab.length()).isEqualTo(length);
        }
        for (int head : new int[] {0, 1}) {
            assertThat(rig.stream.slots(run.slab, head).positions())
                    .isEqualTo(LongStream.range(0, length).toArray());
            assertThat(rig.stream.slots(run.slab, head).scores()).isEmpty();
        }
    }

    @ParameterizedTest
    @MethodSource("org.duoattention.tck.SlabRun#formats")
    void retrievalHeadsIgnoreEvictionAndMode(BlockFormat format) {
        assumeMode(PrefillMode.WINDOW);
        SlabRun run = run(spec(SlabRun.shape(2, 4, 64), HeadSet.range(2), format, ALL, 13), PrefillMode.WINDOW);
        for (int tokens : new int[] {13, 7, 1}) {
            run.chunk("retrieval", tokens);
            rig.stream.evict(run.slab);
        }
        assertThat(run.slab.minLength()).isZero();
    }

    @ParameterizedTest
    @ValueSource(doubles = {0, 1e-3, 30, 300})
    void logitsOfAnySize(double magnitude) {
        for (BlockFormat format : SlabRun.formats()) {
            SlabRun run = run(spec(SlabRun.shape(1, 4, 128), HeadSet.range(1), format, ALL, 13), PrefillMode.UPSTREAM);
            run.magnitude = magnitude;
            run.chunk("numbers up to " + magnitude, 13);
            run.chunk("numbers up to " + magnitude, 1);
        }
    }

    @ParameterizedTest
    @ValueSource(doubles = {1e4, -1e4})
    void equalLargeLogitsGiveTheMean(double logit) {
        int dim = 64;
        SlabRun run =
                run(spec(SlabRun.shape(1, 2, dim), HeadSet.range(1), BlockFormat.F32, ALL, 129), PrefillMode.UPSTREAM);
        double[] k = new double[129 * dim];
        Arrays.fill(k, 1);
        run.append(k, run.randomRows(129, dim));
        double[] q = new double[129 * 2 * dim];
        Arrays.fill(q, (float) (logit / run.scale / dim));
        run.attend("all logits " + logit, q);
    }

    @Test
    void oneLogitFarAboveTheOthersTakesAll() {
        int dim = 64;
        for (int hot : new int[] {0, 5, 12}) {
            SlabRun run = run(
                    spec(SlabRun.shape(1, 1, dim), HeadSet.range(1), BlockFormat.F32, ALL, 13), PrefillMode.UPSTREAM);
            double[] k = new double[13 * dim];
            Arrays.fill(k, -1);
            Arrays.fill(k, hot * dim, (hot + 1) * dim, 1);
            double[] v = run.randomRows(13, dim);
            run.append(k, v);
            double[] q = new double[13 * dim];
            Arrays.fill(q, (float) (1e4 / run.scale / dim));
            double[] out = run.attend("position " + hot + " at +1e4, others at -1e4", q);
            assertThat(Arrays.copyOfRange(out, 12 * dim, 13 * dim))
                    .isEqualTo(Arrays.copyOfRange(v, hot * dim, (hot + 1) * dim));
        }
    }

    // Streaming heads

    static Stream<Arguments> streaming() {
        return Stream.of(PrefillMode.values())
                .flatMap(mode -> Stream.of(
                        Arguments.of(mode, BlockFormat.F32, 0, 1, 13, 13, List.of(1, 1, 1, 5, 13, 1)),
                        Arguments.of(mode, BlockFormat.F16, 4, 8, 13, 64, List.of(13, 13, 7, 1, 1, 1, 13, 13, 1)),
                        Arguments.of(mode, BlockFormat.BF16, 4, 8, 64, 64, List.of(1, 64, 1, 33, 64)),
                        Arguments.of(mode, BlockFormat.F32, 16, 7, 5, 8, List.of(5, 5, 5, 5, 5, 1, 1, 5, 5, 5)),
                        Arguments.of(mode, BlockFormat.F16, 1, 129, 127, 64, List.of(127, 127, 127, 1, 127, 1)),
                        Arguments.of(mode, BlockFormat.BF16, 7, 1, 1, 128, List.of(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)),
                        Arguments.of(mode, BlockFormat.F32, 500, 400, 129, 8, List.of(129, 129, 1)),
                        Arguments.of(mode, BlockFormat.F32, 2, 3, 129, 128, List.of(129, 129, 2, 129))));
    }

    @ParameterizedTest(name = "{0}, {1}, {2} sinks, {3} recent, chunks {6}")
    @MethodSource("streaming")
    void streamingHeads(
            PrefillMode mode, BlockFormat format, int sinks, int recent, int maxChunk, int dim, List<Integer> chunks) {
        assumeMode(mode);
        Retention retention = new Retention.SinkAndRecent(sinks, recent);
        SlabSpec spec = spec(SlabRun.shape(2, 4, dim), HeadSet.range(2), format, retention, maxChunk);
        SlabRun run = run(spec, mode);
        long bytes = run.slab.bytes();
        long length = 0;
        for (int tokens : chunks) {
            run.chunk("streaming", tokens);
            length += tokens;
            long seen = length;
            long[] kept = LongStream.range(0, length)
                    .filter(j -> j < sinks || j >= seen - recent)
                    .toArray();
            assertThat(rig.stream.slots(run.slab, 1).positions())
                    .as("slots after %d tokens and eviction", seen)
                    .isEqualTo(kept);
            assertThat(run.slab.length()).isEqualTo(length);
            assertThat(run.slab.minLength()).isBetween(0L, length);
        }
        assertThat(run.slab.bytes()).isEqualTo(bytes);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 7, 13, 50})
    void windowModeDoesNotDependOnChunks(int chunk) {
        assumeMode(PrefillMode.WINDOW);
        Retention retention = new Retention.SinkAndRecent(3, 9);
        SlabSpec spec = spec(SlabRun.shape(2, 2, 64), HeadSet.range(2), BlockFormat.F32, retention, 50);
        SlabRun run = run(spec, PrefillMode.WINDOW);
        // The oracle of chunks of one token, whatever the chunk is.
        run.visibility = (head, i, j) -> OracleMath.visible(retention, PrefillMode.UPSTREAM, i, i, j);
        for (int length = 0; length < 100; length += chunk) {
            run.chunk("window, chunks of " + chunk, Math.min(chunk, 100 - length));
        }
    }

    @Test
    void evictionMayBeRepeated() {
        Retention retention = new Retention.SinkAndRecent(2, 5);
        SlabSpec spec = spec(SlabRun.shape(1, 1, 64), HeadSet.range(1), BlockFormat.F32, retention, 13);
        SlabRun run = run(spec, PrefillMode.UPSTREAM);
        rig.stream.evict(run.slab);
        for (int tokens : new int[] {13, 1, 7}) {
            run.chunk("streaming", tokens);
            rig.stream.evict(run.slab);
        }
    }

    // Several slabs of a layer

    @ParameterizedTest
    @MethodSource("org.duoattention.tck.SlabRun#formats")
    void onlyTheColumnsOfTheSlabsHeadsAreWritten(BlockFormat format) {
        for (HeadSet heads : List.of(HeadSet.of(0, 3), HeadSet.of(1), HeadSet.of(3), HeadSet.of(1, 2, 3))) {
            for (int group : new int[] {1, 4}) {
                SlabRun run = run(spec(SlabRun.shape(4, group, 64), heads, format, ALL, 13), PrefillMode.UPSTREAM);
                run.chunk("a subset of heads", 13);
                run.chunk("a subset of heads", 1);
                assertThatThrownBy(() ->
                                rig.stream.slots(run.slab, heads.complement(4).get(0)))
                        .isInstanceOf(IllegalArgumentException.class);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("org.duoattention.tck.SlabRun#formats")
    void attendAllIsEveryHeadOnce(BlockFormat format) {
        ModelShape shape = SlabRun.shape(4, 4, 64);
        Retention window = new Retention.SinkAndRecent(2, 5);
        for (PrefillMode mode : PrefillMode.values()) {
            if (mode == PrefillMode.WINDOW && !subject.supports(Capability.WINDOW_PREFILL)) {
                continue;
            }
            SlabRun full = run(spec(shape, HeadSet.of(0, 3), format, ALL, 13), mode);
            SlabRun streaming = run(spec(shape, HeadSet.of(1, 2), format, window, 13), mode);
            for (int tokens : new int[] {13, 1, 7, 13, 1}) {
                double[] k = full.randomRows(tokens, shape.kvWidth());
                double[] v = full.randomRows(tokens, shape.kvWidth());
                double[] q = full.randomRows(tokens, shape.queryWidth());
                full.append(k, v);
                streaming.append(k, v);
                Rig.Guarded out = rig.guarded(tokens, shape.queryWidth());
                Tensor queries = rig.activation(q, tokens, shape.queryWidth());
                rig.stream.attendAll(List.of(full.slab, streaming.slab), queries, full.scale, mode, out.rows());
                merged(full.expected(q), streaming.expected(q)).check("attendAll " + mode, out.numbers("attendAll"));
                rig.stream.evict(streaming.slab);
            }
        }
    }

    private static Expected merged(Expected a, Expected b) {
        double[] values = a.values().clone();
        double[] bounds = a.bounds().clone();
        for (int i = 0; i < values.length; i++) {
            if (values[i] == Rig.SENTINEL) {
                values[i] = b.values()[i];
                bounds[i] = b.bounds()[i];
            }
        }
        return new Expected(values, bounds);
    }

    @Test
    void theSameTokensTwiceGiveTheSameBits() {
        ModelShape shape = SlabRun.shape(2, 4, 64);
        SlabSpec spec = spec(shape, HeadSet.range(2), BlockFormat.F16, new Retention.SinkAndRecent(4, 9), 129);
        double[] k = rig.random(DType.F32, 129 * shape.kvWidth(), 1);
        double[] v = rig.random(DType.F32, 129 * shape.kvWidth(), 1);
        double[] q = rig.random(DType.F32, 129 * shape.queryWidth(), 1);
        double[][] results = new double[2][];
        for (int i = 0; i < 2; i++) {
            SlabRun run = run(spec, PrefillMode.UPSTREAM);
            run.append(k, v);
            rig.stream.evict(run.slab);
            run.append(v, k);
            results[i] = run.attend("the same twice", q);
        }
        assertThat(results[1]).isEqualTo(results[0]);
    }

    // Room

    @Test
    void moreThanAChunkIsRefused() {
        SlabRun run =
                run(spec(SlabRun.shape(1, 1, 8), HeadSet.range(1), BlockFormat.F32, ALL, 7), PrefillMode.UPSTREAM);
        run.chunk("before", 3);
        assertThatThrownBy(() -> run.append(8)).isInstanceOf(IllegalArgumentException.class);
        assertThat(run.slab.length()).isEqualTo(3);
        run.chunk("after a refused append", 7);
    }

    @Test
    void moreThanTheLongestContextIsRefused() {
        for (Retention retention : List.of(ALL, new Retention.SinkAndRecent(1, 2))) {
            SlabSpec spec =
                    new SlabSpec(SlabRun.shape(1, 1, 8), 0, HeadSet.range(1), BlockFormat.F32, retention, 10, 7, 0);
            SlabRun run = run(spec, PrefillMode.UPSTREAM);
            run.chunk("before", 7);
            assertThatThrownBy(() -> run.append(4)).as("%s", retention).isInstanceOf(IllegalStateException.class);
            assertThat(run.slab.length()).isEqualTo(7);
            run.chunk("after a refused append", 3);
            assertThatThrownBy(() -> run.append(1)).as("%s", retention).isInstanceOf(IllegalStateException.class);
        }
    }

    @Test
    void aMissingEvictionIsNoticed() {
        Retention retention = new Retention.SinkAndRecent(2, 3);
        SlabRun run = run(
                spec(SlabRun.shape(1, 1, 8), HeadSet.range(1), BlockFormat.F32, retention, 4), PrefillMode.UPSTREAM);
        run.chunk("before", 4);
        run.chunk("before", 4);
        run.append(4);
        assertThatThrownBy(() -> run.append(1)).isInstanceOf(IllegalStateException.class);
        assertThat(run.slab.length()).isEqualTo(12);
        run.attend("after a refused append");
        rig.stream.evict(run.slab);
        run.chunk("after the eviction", 4);
    }

    @Test
    void callsThatDoNotFitTheSlabAreRefused() {
        ModelShape shape = SlabRun.shape(2, 4, 8);
        SlabRun run = run(spec(shape, HeadSet.range(2), BlockFormat.F32, ALL, 13), PrefillMode.UPSTREAM);
        run.chunk("before", 3);
        Tensor rows = rig.zeros(DType.F32, 3, shape.kvWidth());
        Tensor longer = rig.zeros(DType.F32, 4, shape.kvWidth());
        Tensor wide = rig.zeros(DType.F32, 3, shape.kvWidth() + 1);
        Tensor half = rig.zeros(DType.F16, 3, shape.kvWidth());
        assertThatThrownBy(() -> rig.stream.append(run.slab, rows, longer))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> rig.stream.append(run.slab, wide, wide)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> rig.stream.append(run.slab, half, half)).isInstanceOf(IllegalArgumentException.class);
        assertThat(run.slab.length()).isEqualTo(3);
        for (int tokens : new int[] {1, 2, 4}) {
            Tensor q = rig.zeros(DType.F32, tokens, shape.queryWidth());
            Tensor out = rig.zeros(DType.F32, tokens, shape.queryWidth());
            assertThatThrownBy(() -> rig.stream.attend(run.slab, q, 1, PrefillMode.UPSTREAM, out))
                    .as("attend with %d rows after an append of 3", tokens)
                    .isInstanceOf(IllegalArgumentException.class);
        }
        Tensor q = rig.zeros(DType.F32, 3, shape.queryWidth());
        assertThatThrownBy(() -> rig.stream.attend(run.slab, q, 1, PrefillMode.UPSTREAM, rows))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> rig.stream.attend(run.slab, rows, 1, PrefillMode.UPSTREAM, q))
                .isInstanceOf(IllegalArgumentException.class);
        run.chunk("after refused calls", 13);
    }

    // Memory

    static Stream<Arguments> retentions() {
        return Stream.of(ALL, new Retention.SinkAndRecent(16, 64))
                .flatMap(retention -> SlabRun.formats().stream().map(format -> Arguments.of(retention, format)));
    }

    @ParameterizedTest
    @MethodSource("retentions")
    void bytesAreWhatIsAllocated(Retention retention, BlockFormat format) {
        for (int heads = 1; heads <= 3; heads++) {
            for (int undo : new int[] {0, 5}) {
                SlabSpec spec = new SlabSpec(
                        SlabRun.shape(3, 4, 13), 0, HeadSet.range(heads), format, retention, 777, 32, undo);
                long before = device.allocatedBytes();
                long payload = spec.slotCapacity() * heads * 2 * format.rowBytes(13);
                try (Slab slab = device.allocate(spec)) {
                    assertThat(slab.spec()).isEqualTo(spec);
                    assertThat(slab.length()).isZero();
                    assertThat(slab.minLength()).isZero();
                    assertThat(slab.bytes()).as("bytes of %s", spec).isGreaterThanOrEqualTo(payload);
                    assertThat(device.bytes(spec)).as("predicted for %s", spec).isEqualTo(slab.bytes());
                    assertThat(device.allocatedBytes() - before)
                            .as("change of allocated bytes for %s", spec)
                            .isEqualTo(slab.bytes());
                    slab.close();
                    slab.close();
                }
                assertThat(device.allocatedBytes()).as("after close").isEqualTo(before);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("org.duoattention.tck.SlabRun#formats")
    void streamingSlabsTakeTheSameMemoryForEveryContext(BlockFormat format) {
        long[] bytes = LongStream.of(1_000, 1_000_000, 1L << 40)
                .map(maxTokens -> device.bytes(new SlabSpec(
                        SlabRun.shape(2, 4, 64),
                        0,
                        HeadSet.range(2),
                        format,
                        new Retention.SinkAndRecent(16, 64),
                        maxTokens,
                        32,
                        3)))
                .toArray();
        assertThat(bytes).containsOnly(bytes[0]);
    }

    @Test
    void aSlabThatCannotFitIsRefusedBeforeAnythingIsAllocated() {
        SlabSpec spec =
                new SlabSpec(SlabRun.shape(1, 1, 128), 0, HeadSet.range(1), BlockFormat.F32, ALL, 1L << 40, 32, 0);
        long before = device.allocatedBytes();
        assertThat(device.bytes(spec)).isGreaterThanOrEqualTo(1L << 50);
        assertThatThrownBy(() -> rig.closing(device.allocate(spec)))
                .isInstanceOfSatisfying(
                        DeviceMemoryException.class,
                        e -> assertThat(e.requestedBytes()).isGreaterThanOrEqualTo(1L << 50));
        assertThat(device.allocatedBytes()).isEqualTo(before);
    }

    @Test
    void reservingMemoryChangesNothingThatIsSeen() {
        SlabRun run =
                run(spec(SlabRun.shape(2, 4, 64), HeadSet.range(2), BlockFormat.F16, ALL, 16), PrefillMode.UPSTREAM);
        run.chunk("before", 7);
        long allocated = device.allocatedBytes();
        for (long tokens : new long[] {0, 1, 30, Long.MAX_VALUE}) {
            device.reserve(List.of(run.slab), tokens);
            assertThat(device.allocatedBytes())
                    .as("allocated with %d more tokens", tokens)
                    .isEqualTo(allocated);
            assertThat(run.slab.length()).isEqualTo(7);
        }
        device.reserve(List.of(), 5);
        run.chunk("after", 13);
    }

    @Test
    void manySlabsDoNotDisturbEachOther() {
        SlabRun[] runs = IntStream.range(0, 5)
                .mapToObj(i -> run(
                        spec(
                                SlabRun.shape(2, 2, 64),
                                HeadSet.range(2),
                                SlabRun.formats().get(i % 3),
                                i % 2 == 0 ? ALL : new Retention.SinkAndRecent(2, 3 + i),
                                13),
                        PrefillMode.UPSTREAM))
                .toArray(SlabRun[]::new);
        for (int tokens : new int[] {13, 1, 7, 13}) {
            for (SlabRun run : runs) {
                run.chunk("one of five slabs", tokens);
            }
        }
    }
}
