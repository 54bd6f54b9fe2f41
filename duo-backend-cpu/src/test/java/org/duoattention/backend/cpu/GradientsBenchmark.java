package org.duoattention.backend.cpu;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Gradients;
import org.duoattention.api.backend.Projection;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.api.tensor.QuantizedSpec;
import org.duoattention.api.tensor.TensorSpec;

/**
 * Times backward operations of the vector backend beside their forward ones, in turn; a ratio is the median of those of
 * neighbours. The command is in docs/performance.md.
 *
 * <p>System properties: {@code rounds} (15), {@code only} (part of the names to measure).
 */
final class GradientsBenchmark {
    private static final int ROUNDS = Integer.getInteger("rounds", 15);
    private static final String ONLY = System.getProperty("only", "");
    private static final long WARM_UP_NANOS = 1_000_000_000L;

    private final Device device = new CpuVectorBackend().open(Map.of());
    private final ComputeStream stream = device.openStream();
    private final Gradients gradients = stream.gradients();
    private final Arena arena = Arena.ofShared();
    private final SplittableRandom random = new SplittableRandom(1);

    public static void main(String[] arguments) {
        GradientsBenchmark benchmark = new GradientsBenchmark();
        System.out.println(benchmark.device.description());
        System.out.printf("%-52s %9s %9s %9s %9s%n", "", "forward", "GFLOP/s", "backward", "GFLOP/s, ratio");
        for (DType type : List.of(DType.F32, DType.BF16)) {
            benchmark.linears("linears 128 to 128 64 64, " + type, 1024, 128, type, 128, 64, 64);
            benchmark.linears("linears 128 to 384 384, " + type, 1024, 128, type, 384, 384);
            benchmark.linears("linears 384 to 128, " + type, 1024, 384, type, 128);
        }
        for (DType type : List.of(DType.F32, DType.F16, DType.BF16)) {
            benchmark.linears("linears 2048 to 2048, " + type, 1024, 2048, type, 2048);
        }
        benchmark.linears("linears 2048 to 2048, int4", 1024, 2048, null, 2048);
        for (int dim : new int[] {32, 64, 128}) {
            for (int[] window : new int[][] {{16, 64}, {128, 256}}) {
                benchmark.attention(1, 4, dim, window[0], window[1]);
            }
        }
        benchmark.attention(2, 1, 64, 16, 64);
        benchmark.attention(2, 2, 32, 16, 64);
        benchmark.device.close();
        benchmark.arena.close();
    }

    private MemorySegment numbers(long bytes) {
        MemorySegment memory = arena.allocate(bytes, 64);
        // Every 16-bit pattern is a small number both as binary16 and as bfloat16, and every pair is one as a float.
        for (long i = 0; i + 8 <= bytes; i += 8) {
            memory.set(ValueLayout.JAVA_LONG, i, 0x2c00_2c00_2c00_2c00L | random.nextLong() & 0x83ff_83ff_83ff_83ffL);
        }
        return memory;
    }

    private Tensor rows(long tokens, long width) {
        TensorSpec spec = TensorSpec.of(DType.F32, tokens, width);
        Tensor tensor = device.allocate(spec);
        float[] values = new float[(int) spec.elements()];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) (2 * random.nextDouble() - 1);
        }
        MemorySegment host = arena.allocate(spec.byteSize(), 64);
        MemorySegment.copy(values, 0, host, ValueLayout.JAVA_FLOAT, 0, values.length);
        stream.upload(host, tensor);
        return tensor;
    }

    /** A weight of a type, or of four bits when there is none. */
    private Tensor weight(DType type, int outs, int in) {
        if (type != null) {
            TensorSpec spec = TensorSpec.of(type, outs, in);
            return device.adopt(new HostTensor(spec, numbers(spec.byteSize())));
        }
        QuantizedSpec spec = new QuantizedSpec(new BlockFormat.Grouped(4, 128, false, DType.F16), outs, in);
        return device.adopt(new QuantizedMatrix(
                spec, numbers(spec.codeBytes()), numbers(spec.scaleBytes()), numbers(spec.offsetBytes())));
    }

    private void linears(String name, int tokens, int in, DType type, int... outs) {
        Tensor x = rows(tokens, in);
        Tensor result = rows(tokens, in);
        List<Projection> forward = new ArrayList<>();
        List<Gradients.LinearOutput> backward = new ArrayList<>();
        for (int out : outs) {
            Tensor weight = weight(type, out, in);
            forward.add(new Projection(weight, Optional.empty(), rows(tokens, out)));
            backward.add(new Gradients.LinearOutput(rows(tokens, out), weight));
        }
        double flops = 2.0 * tokens * in * Arrays.stream(outs).sum();
        measure(name, flops, () -> stream.linears(x, forward), flops, () -> gradients.linears(backward, result));
    }

    private void attention(int kvHeads, int group, int dim, int sinks, int recent) {
        int tokens = 4096;
        Gradients.Streaming streaming = new Gradients.Streaming(dim, sinks, recent, (float) (1 / Math.sqrt(dim)));
        int heads = kvHeads * group;
        Tensor q = rows(tokens, heads * dim);
        Tensor k = rows(tokens, kvHeads * dim);
        Tensor v = rows(tokens, kvHeads * dim);
        Tensor out = rows(tokens, heads * dim);
        Tensor toQ = rows(tokens, heads * dim);
        Tensor toK = rows(tokens, kvHeads * dim);
        Tensor toV = rows(tokens, kvHeads * dim);
        double pair = 2.0 * tokens * heads * dim * (sinks + recent);
        measure(
                "streaming " + kvHeads + "x" + group + " heads of " + dim + ", " + sinks + " + " + recent,
                2 * pair,
                () -> gradients.attend(q, k, v, streaming, out),
                5 * pair,
                () -> gradients.attendBackward(q, k, v, streaming, out, toQ, toK, toV));
    }

    private static void measure(String name, double forwardWork, Runnable forward, double work, Runnable backward) {
        if (!name.contains(ONLY)) {
            return;
        }
        long end = System.nanoTime() + WARM_UP_NANOS;
        for (int i = 0; i < 5 || System.nanoTime() < end; i++) {
            forward.run();
            backward.run();
        }
        double[] forwards = new double[ROUNDS];
        double[] backwards = new double[ROUNDS];
        double[] ratios = new double[ROUNDS];
        for (int i = 0; i < ROUNDS; i++) {
            long start = System.nanoTime();
            forward.run();
            long middle = System.nanoTime();
            backward.run();
            forwards[i] = (middle - start) * 1e-9;
            backwards[i] = (System.nanoTime() - middle) * 1e-9;
            ratios[i] = backwards[i] / forwards[i];
        }
        Arrays.sort(forwards);
        Arrays.sort(backwards);
        Arrays.sort(ratios);
        double f = forwards[ROUNDS / 2];
        double b = backwards[ROUNDS / 2];
        System.out.printf(
                "%-52s %6.2f ms %9.1f %6.2f ms %9.1f %6.2f%n",
                name, f * 1e3, forwardWork / f * 1e-9, b * 1e3, work / b * 1e-9, ratios[ROUNDS / 2]);
    }
}
