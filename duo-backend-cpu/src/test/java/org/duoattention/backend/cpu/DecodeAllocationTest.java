package org.duoattention.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.stream.Stream;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Projection;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.api.tensor.QuantizedSpec;
import org.duoattention.api.tensor.TensorSpec;
import org.junit.jupiter.api.parallel.Isolated;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * What the operations of a decode step allocate on the heap once they are compiled: the same few objects per operation whatever
 * the widths and the length of the cache, and nothing in the kernels. Vectors that the compiler does not keep in registers
 * would show here: some hundred bytes per row of a weight.
 *
 * <p>Alone, because it counts what all threads of devices allocate. The compiler gets its time even where others use the machine: two
 * minutes per case are used up only when the bound does not hold.
 */
@Isolated
class DecodeAllocationTest {
    /** Bytes per layer and step: records and lambdas of a dozen operations. A layer here has 1,856 rows of weights. */
    private static final long BOUND = 8192;

    private static final int STEPS = 200;
    /** How long to wait for the compiler, which gets little time on a busy machine. */
    private static final long PATIENCE_NANOS = 120_000_000_000L;

    private static final int HEADS = 4;
    private static final ModelShape SHAPE = new ModelShape(1, 256, 2 * HEADS, HEADS, 64, 384, 10);
    private static final int LENGTH = 4096;
    private static final int LARGEST = 40;

    private final Random random = new Random(3);

    static Stream<Arguments> cases() {
        BlockFormat int4 = new BlockFormat.Grouped(4, 128, false, DType.F16);
        BlockFormat int8 = new BlockFormat.Grouped(8, 128, false, DType.F16);
        BlockFormat f16 = new BlockFormat.Dense(DType.F16);
        BlockFormat bf16 = new BlockFormat.Dense(DType.BF16);
        BlockFormat int8Cache = new BlockFormat.Grouped(8, 64, true, DType.F16);
        BlockFormat int4Cache = new BlockFormat.Grouped(4, 32, true, DType.F16);
        return Stream.of(
                Arguments.of(f16, f16, HeadSet.range(HEADS)),
                Arguments.of(bf16, int8Cache, HeadSet.of(1)),
                Arguments.of(int4, f16, HeadSet.of(1)),
                Arguments.of(int4, int8Cache, HeadSet.range(HEADS)),
                Arguments.of(int8, int8Cache, HeadSet.of(0, 3)),
                Arguments.of(bf16, int4Cache, HeadSet.of(2)),
                Arguments.of(int4, int4Cache, HeadSet.range(HEADS)),
                Arguments.of(f16, bf16, HeadSet.of(0, 3)));
    }

    @ParameterizedTest
    @MethodSource("cases")
    void allocatesAConstantFewObjects(BlockFormat weights, BlockFormat kv, HeadSet retrieval) {
        try (Arena arena = Arena.ofShared();
                Device device = new CpuVectorBackend().open(Map.of());
                ComputeStream stream = device.openStream()) {
            Step step = new Step(device, stream, arena, weights, kv, retrieval);
            long end = System.nanoTime() + PATIENCE_NANOS;
            long perStep;
            do {
                long before = allocatedBytes();
                for (int i = 0; i < STEPS; i++) {
                    step.run();
                }
                perStep = (allocatedBytes() - before) / STEPS;
            } while (perStep > BOUND && System.nanoTime() < end);
            assertThat(perStep).isLessThanOrEqualTo(BOUND);
        }
    }

    /** Of this thread and the device's. */
    private static long allocatedBytes() {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long bytes = threads.getThreadAllocatedBytes(Thread.currentThread().threadId());
        for (Thread thread : Thread.getAllStackTraces().keySet()) {
            if (thread.getName().startsWith("duo-cpu")) {
                bytes += threads.getThreadAllocatedBytes(thread.threadId());
            }
        }
        return bytes;
    }

    /** The operations of one layer for one token; the last token is taken back after each, so that the length stays. */
    private final class Step {
        private final Device device;
        private final ComputeStream stream;
        private final Arena arena;
        private final BlockFormat weights;
        private final Tensor norm;
        private final Tensor hidden;
        private final Tensor normed;
        private final Tensor q;
        private final Tensor k;
        private final Tensor v;
        private final Tensor attention;
        private final Tensor delta;
        private final Tensor gate;
        private final Tensor up;
        private final List<Projection> queryKeyValue;
        private final List<Projection> gateAndUp;
        private final Projection output;
        private final Projection down;
        private final List<Slab> slabs;
        private final MemorySegment indices;
        private final MemorySegment values;
        private final Rope rope = new Rope(new double[SHAPE.headDim() / 2], 1);

        Step(Device device, ComputeStream stream, Arena arena, BlockFormat weights, BlockFormat kv, HeadSet retrieval) {
            this.device = device;
            this.stream = stream;
            this.arena = arena;
            this.weights = weights;
            indices = arena.allocate(4 * LARGEST, 4);
            values = arena.allocate(4 * LARGEST, 4);
            norm = device.allocate(TensorSpec.of(DType.F32, SHAPE.hiddenSize()));
            hidden = row(SHAPE.hiddenSize());
            normed = row(SHAPE.hiddenSize());
            q = row(SHAPE.queryWidth());
            k = row(SHAPE.kvWidth());
            v = row(SHAPE.kvWidth());
            attention = row(SHAPE.queryWidth());
            delta = row(SHAPE.hiddenSize());
            gate = row(SHAPE.intermediateSize());
            up = row(SHAPE.intermediateSize());
            queryKeyValue = List.of(
                    projection(q, SHAPE.hiddenSize()),
                    projection(k, SHAPE.hiddenSize()),
                    projection(v, SHAPE.hiddenSize()));
            output = projection(delta, SHAPE.queryWidth());
            gateAndUp = List.of(projection(gate, SHAPE.hiddenSize()), projection(up, SHAPE.hiddenSize()));
            down = projection(delta, SHAPE.intermediateSize());
            slabs = HeadSet.range(HEADS).equals(retrieval)
                    ? List.of(slab(retrieval, kv, new Retention.All()))
                    : List.of(
                            slab(retrieval, kv, new Retention.All()),
                            slab(retrieval.complement(HEADS), kv, new Retention.SinkAndRecent(16, 64)));
            Tensor many = device.allocate(TensorSpec.of(DType.F32, LENGTH - 1, SHAPE.kvWidth()));
            for (Slab slab : slabs) {
                stream.append(slab, many, many);
                stream.evict(slab);
            }
        }

        private Tensor row(int width) {
            return device.allocate(TensorSpec.of(DType.F32, 1, width));
        }

        private Slab slab(HeadSet heads, BlockFormat kv, Retention retention) {
            return device.allocate(new SlabSpec(SHAPE, 0, heads, kv, retention, LENGTH, LENGTH, 1));
        }

        private Projection projection(Tensor out, int in) {
            long rows = out.spec().extent(1);
            Tensor weight = switch (weights) {
                case BlockFormat.Dense dense ->
                    device.adopt(new HostTensor(
                            TensorSpec.of(dense.dtype(), rows, in),
                            random(rows * in * dense.dtype().bytes(), (byte) 0x3b)));
                case BlockFormat.Grouped grouped ->
                    device.adopt(new QuantizedMatrix(
                            new QuantizedSpec(grouped, rows, in),
                            random(rows * in * grouped.bits() / 8, (byte) 0xff),
                            random(rows * in / grouped.group() * 2, (byte) 0x3b),
                            MemorySegment.NULL));
            };
            return new Projection(weight, Optional.empty(), out);
        }

        /** Bytes that are small numbers as halves. */
        private MemorySegment random(long bytes, byte mask) {
            MemorySegment segment = arena.allocate(bytes, 64);
            for (long i = 0; i < bytes; i++) {
                segment.set(ValueLayout.JAVA_BYTE, i, (byte) (random.nextInt() & mask));
            }
            return segment;
        }

        void run() {
            stream.addRmsNorm(hidden, delta, norm, 1e-5f, normed);
            stream.linears(normed, queryKeyValue);
            stream.rope(q, SHAPE.headDim(), rope, LENGTH - 1);
            stream.rope(k, SHAPE.headDim(), rope, LENGTH - 1);
            for (Slab slab : slabs) {
                stream.append(slab, k, v);
            }
            stream.attendAll(slabs, q, 0.125f, PrefillMode.UPSTREAM, attention);
            for (Slab slab : slabs) {
                stream.truncate(slab, LENGTH - 1);
            }
            stream.linear(attention, output);
            stream.addRmsNorm(hidden, delta, norm, 1e-5f, normed);
            stream.linears(normed, gateAndUp);
            stream.swiGlu(gate, up, gate);
            stream.linear(gate, down);
            stream.topK(delta, LARGEST, indices, values);
        }
    }
}
