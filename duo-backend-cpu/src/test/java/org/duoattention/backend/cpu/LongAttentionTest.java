package org.duoattention.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.duoattention.api.backend.AttentionBackend;
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
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * A retrieval head over thousands of tokens beside a streaming head: contexts long enough that the slots of one head are cut
 * into ranges whose results are joined, which the sizes of the contract never reach.
 */
class LongAttentionTest {
    private static final int DIM = 16;
    private static final int GROUP = 3;
    private static final int CHUNK = 500;
    private static final int SINKS = 4;
    private static final int RECENT = 100;
    private static final ModelShape SHAPE = new ModelShape(1, 96, 2 * GROUP, 2, DIM, 8, 10);

    static Stream<Arguments> cases() {
        return Stream.of(new CpuScalarBackend(), new CpuVectorBackend())
                .flatMap(backend -> Stream.of(
                                "1", String.valueOf(Runtime.getRuntime().availableProcessors()))
                        .distinct()
                        .flatMap(threads -> Stream.of(1, 3, 77).map(tokens -> Arguments.of(backend, threads, tokens))));
    }

    @ParameterizedTest
    @MethodSource("cases")
    void joinsTheRangesOfALongHead(AttentionBackend backend, String threads, int tokens) {
        Random random = new Random(tokens);
        int length = 8 * CHUNK + tokens;
        float[] k = gaussians(random, length * SHAPE.kvWidth());
        float[] v = gaussians(random, length * SHAPE.kvWidth());
        float[] q = gaussians(random, tokens * SHAPE.queryWidth());
        // The last range holds the largest product by far for one head, so that joining has something to rescale.
        for (int d = 0; d < DIM; d++) {
            k[(length - tokens) * SHAPE.kvWidth() + d] = 4 * q[d];
        }
        try (Arena arena = Arena.ofConfined();
                Device device = backend.open(Map.of("threads", threads));
                ComputeStream stream = device.openStream()) {
            List<Slab> slabs = List.of(
                    device.allocate(spec(0, new Retention.All(), length)),
                    device.allocate(spec(1, new Retention.SinkAndRecent(SINKS, RECENT), length)));
            for (int first = 0; first < length; first += CHUNK) {
                int count = Math.min(CHUNK, length - first);
                Tensor keys = upload(device, stream, arena, k, first, count, SHAPE.kvWidth());
                Tensor values = upload(device, stream, arena, v, first, count, SHAPE.kvWidth());
                for (Slab slab : slabs) {
                    stream.append(slab, keys, values);
                    if (first + count < length) {
                        stream.evict(slab);
                    }
                }
            }
            Tensor queries = upload(device, stream, arena, q, 0, tokens, SHAPE.queryWidth());
            Tensor out = device.allocate(queries.spec());
            MemorySegment result = arena.allocate(out.spec().byteSize(), 4);
            for (PrefillMode mode : PrefillMode.values()) {
                stream.attendAll(slabs, queries, 0.3f, mode, out);
                stream.download(out, result);
                stream.synchronize();
                check(q, k, v, tokens, length, mode, result.toArray(ValueLayout.JAVA_FLOAT));
            }
        }
    }

    private static SlabSpec spec(int head, Retention retention, int length) {
        return new SlabSpec(SHAPE, 0, HeadSet.of(head), BlockFormat.F32, retention, length, CHUNK, 0);
    }

    private static float[] gaussians(Random random, int count) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    private static Tensor upload(
            Device device, ComputeStream stream, Arena arena, float[] values, int first, int rows, int width) {
        Tensor tensor = device.allocate(TensorSpec.of(DType.F32, rows, width));
        MemorySegment host = arena.allocate(tensor.spec().byteSize(), 4);
        MemorySegment.copy(values, first * width, host, ValueLayout.JAVA_FLOAT, 0, rows * width);
        stream.upload(host, tensor);
        return tensor;
    }

    private static void check(
            float[] q, float[] k, float[] v, int tokens, int length, PrefillMode mode, float[] actual) {
        for (int t = 0; t < tokens; t++) {
            int position = length - tokens + t;
            for (int head = 0; head < 2 * GROUP; head++) {
                int kvHead = head / GROUP;
                double[] sums = new double[DIM];
                double total = 0;
                for (int j = 0; j <= position; j++) {
                    int oldest = mode == PrefillMode.WINDOW ? position - RECENT : length - tokens - RECENT;
                    if (kvHead == 1 && j >= SINKS && j < oldest) {
                        continue;
                    }
                    double product = 0;
                    for (int d = 0; d < DIM; d++) {
                        product += (double) q[(t * 2 * GROUP + head) * DIM + d] * k[(j * 2 + kvHead) * DIM + d];
                    }
                    double p = Math.exp(0.3f * product);
                    total += p;
                    for (int d = 0; d < DIM; d++) {
                        sums[d] += p * v[(j * 2 + kvHead) * DIM + d];
                    }
                }
                for (int d = 0; d < DIM; d++) {
                    assertThat((double) actual[(t * 2 * GROUP + head) * DIM + d])
                            .as("%s, row %d, head %d, element %d", mode, t, head, d)
                            .isCloseTo(sums[d] / total, within(2e-5));
                }
            }
        }
    }
}
