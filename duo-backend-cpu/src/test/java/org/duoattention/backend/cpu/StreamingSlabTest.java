package org.duoattention.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeSet;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.TensorSpec;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Random appends, evictions, truncations, saves and restores of a streaming slab, beside a model that keeps every token and a
 * list of the visible ones.
 */
class StreamingSlabTest {
    private static final int DIM = 4;
    private static final ModelShape SHAPE = new ModelShape(1, 16, 4, 2, DIM, 8, 10);

    @ParameterizedTest
    @CsvSource({
        "0, 1, 1, 0, 40, 1",
        "0, 3, 4, 5, 60, 2",
        "2, 3, 4, 0, 60, 3",
        "2, 3, 4, 7, 200, 4",
        "5, 8, 6, 3, 30, 5",
        "4, 2, 9, 2, 12, 6",
        "3, 5, 7, 100, 90, 7",
        "20, 5, 7, 3, 18, 8",
    })
    void matchesAListOfTokens(int sinks, int recent, int maxChunk, int undo, int maxTokens, long seed) {
        Random random = new Random(seed);
        SlabSpec spec = new SlabSpec(
                SHAPE,
                0,
                HeadSet.of(1),
                BlockFormat.F32,
                new Retention.SinkAndRecent(sinks, recent),
                maxTokens,
                maxChunk,
                undo);
        try (Arena arena = Arena.ofConfined();
                Device device = new CpuScalarBackend().open(Map.of("threads", "1"));
                ComputeStream stream = device.openStream();
                Slab slab = device.allocate(spec)) {
            List<float[]> keys = new ArrayList<>();
            List<float[]> values = new ArrayList<>();
            TreeSet<Integer> visible = new TreeSet<>();
            int longest = 0;
            for (int step = 0; step < 300; step++) {
                int length = keys.size();
                longest = Math.max(longest, length);
                assertThat(slab.length()).isEqualTo(length);
                assertThat(stream.slots(slab, 1).positions())
                        .isEqualTo(visible.stream().mapToLong(i -> i).toArray());
                switch (random.nextInt(5)) {
                    case 0 -> {
                        // The undo margin counts from the longest the slab ever was, not from each truncation anew.
                        assertThat(slab.minLength()).isLessThanOrEqualTo(Math.max(0, longest - undo));
                        int target = (int) slab.minLength() + random.nextInt(length - (int) slab.minLength() + 1);
                        stream.truncate(slab, target);
                        keys.subList(target, length).clear();
                        values.subList(target, length).clear();
                        replay(visible, target, sinks, recent);
                    }
                    case 1 -> {
                        MemorySegment bytes = arena.allocate(stream.saveBytes(slab));
                        stream.save(slab, bytes);
                        try (Slab other = device.allocate(spec)) {
                            stream.restore(other, bytes);
                            assertThat(other.minLength()).isEqualTo(slab.minLength());
                            stream.restore(slab, bytes);
                        }
                    }
                    default -> {
                        int tokens = 1 + random.nextInt(maxChunk);
                        try (Tensor k = random(device, stream, arena, random, keys, tokens);
                                Tensor v = random(device, stream, arena, random, values, tokens)) {
                            if (length + tokens > maxTokens) {
                                assertThatThrownBy(() -> stream.append(slab, k, v))
                                        .isInstanceOf(IllegalStateException.class)
                                        .hasMessageContaining("at most " + maxTokens);
                                keys.subList(length, keys.size()).clear();
                                values.subList(length, values.size()).clear();
                                continue;
                            }
                            stream.append(slab, k, v);
                        }
                        for (int i = length; i < length + tokens; i++) {
                            visible.add(i);
                        }
                        for (PrefillMode mode : PrefillMode.values()) {
                            check(device, stream, arena, random, slab, tokens, mode, keys, values, visible);
                        }
                        stream.evict(slab);
                        int end = keys.size();
                        visible.removeIf(i -> i >= sinks && i < end - recent);
                    }
                }
            }
        }
    }

    /** What is visible when every chunk up to a length was followed by an eviction. */
    private static void replay(TreeSet<Integer> visible, int length, int sinks, int recent) {
        visible.clear();
        for (int i = 0; i < length; i++) {
            if (i < sinks || i >= length - recent) {
                visible.add(i);
            }
        }
    }

    private static Tensor random(
            Device device, ComputeStream stream, Arena arena, Random random, List<float[]> rows, int tokens) {
        int width = SHAPE.kvWidth();
        MemorySegment host = arena.allocate(4L * tokens * width, 4);
        for (int t = 0; t < tokens; t++) {
            float[] row = new float[width];
            for (int i = 0; i < width; i++) {
                row[i] = (float) random.nextGaussian();
                host.setAtIndex(ValueLayout.JAVA_FLOAT, (long) t * width + i, row[i]);
            }
            rows.add(row);
        }
        Tensor tensor = device.allocate(TensorSpec.of(DType.F32, tokens, width));
        stream.upload(host, tensor);
        return tensor;
    }

    private static void check(
            Device device,
            ComputeStream stream,
            Arena arena,
            Random random,
            Slab slab,
            int tokens,
            PrefillMode mode,
            List<float[]> keys,
            List<float[]> values,
            TreeSet<Integer> visible) {
        int width = SHAPE.queryWidth();
        Retention.SinkAndRecent retention =
                (Retention.SinkAndRecent) slab.spec().retention();
        MemorySegment host = arena.allocate(4L * tokens * width, 4);
        for (long i = 0; i < (long) tokens * width; i++) {
            host.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
        }
        MemorySegment result = arena.allocate(4L * tokens * width, 4);
        try (Tensor q = device.allocate(TensorSpec.of(DType.F32, tokens, width));
                Tensor out = device.allocate(TensorSpec.of(DType.F32, tokens, width))) {
            stream.upload(host, q);
            stream.attend(slab, q, 0.5f, mode, out);
            stream.download(out, result);
        }
        for (int t = 0; t < tokens; t++) {
            int position = keys.size() - tokens + t;
            for (int head = 0; head < 4; head++) {
                double[] expected = new double[DIM];
                double sum = 0;
                for (int j : visible) {
                    boolean seen = j <= position
                            && (mode == PrefillMode.UPSTREAM
                                    || j < retention.sinks()
                                    || position - j <= retention.recent());
                    if (!seen) {
                        continue;
                    }
                    double logit = 0;
                    for (int d = 0; d < DIM; d++) {
                        float q = host.getAtIndex(ValueLayout.JAVA_FLOAT, (long) t * width + head * DIM + d);
                        logit += q * (double) keys.get(j)[DIM + d];
                    }
                    double p = Math.exp(0.5 * logit);
                    sum += p;
                    for (int d = 0; d < DIM; d++) {
                        expected[d] += p * values.get(j)[DIM + d];
                    }
                }
                for (int d = 0; d < DIM; d++) {
                    float actual = result.getAtIndex(ValueLayout.JAVA_FLOAT, (long) t * width + head * DIM + d);
                    // Heads 0 and 1 belong to KV head 0, which the slab does not hold.
                    double wanted = head < 2 ? 0 : expected[d] / sum;
                    assertThat((double) actual).isCloseTo(wanted, within(1e-5));
                }
            }
        }
    }
}
