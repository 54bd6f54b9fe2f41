package org.duoattention.backend.cpu.vector;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.function.IntConsumer;
import jdk.incubator.vector.FloatVector;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.QuantizedSpec;
import org.duoattention.backend.cpu.kernel.AttentionTask;
import org.duoattention.backend.cpu.kernel.KvHead;
import org.duoattention.backend.cpu.kernel.KvLayout;
import org.duoattention.backend.cpu.kernel.Matrix;
import org.duoattention.backend.cpu.kernel.PackedInput;
import org.duoattention.backend.cpu.kernel.QuantizedWeight;
import org.duoattention.backend.cpu.kernel.SlotRuns;
import org.duoattention.backend.cpu.kernel.Weight;
import org.duoattention.backend.cpu.kernel.Workspace;
import org.duoattention.backend.cpu.pool.WorkerPool;

/**
 * Measures the vector kernels against what the machine can do: reading memory, and OpenBLAS. Every measurement runs in turn
 * with its reference, and the ratio is the median of the ratios of neighbours, so that a machine shared with others gives a usable
 * figure. The command is in docs/performance.md.
 *
 * <p>System properties: {@code slots} (of decode attention, 16384), {@code megabytes} (of the memory that is walked, 256; more than a
 * cache takes), {@code threads} (2), {@code rounds} (30), {@code openblas} (path of the library; without it the
 * product is only timed), {@code only} (part of the names to measure), {@code cpuTime} (true: the processor time of
 * the main thread instead of wall time, for a machine that others use at the same time; with one thread only).
 */
final class CpuKernelBenchmark {
    private static final int THREADS = Integer.getInteger("threads", 2);
    private static final int ROUNDS = Integer.getInteger("rounds", 30);
    private static final boolean CPU_TIME = Boolean.getBoolean("cpuTime");
    private static final String ONLY = System.getProperty("only", "");
    private static final int PARTS = 8 * THREADS;
    private static final long WARM_UP_NANOS = 6_000_000_000L;
    private static final long MEMORY = Long.getLong("megabytes", 256) << 20;
    private static final List<BlockFormat.Grouped> QUANTIZED = List.of(
            new BlockFormat.Grouped(4, 32, false, DType.F16),
            new BlockFormat.Grouped(4, 128, false, DType.F16),
            new BlockFormat.Grouped(4, 128, true, DType.F16),
            new BlockFormat.Grouped(8, 32, false, DType.F16));

    private final VectorKernels kernels = new VectorKernels(true);
    private final Arena arena = Arena.ofShared();
    private final MemorySegment memory = arena.allocate(MEMORY, 64);
    private final WorkerPool pool = new WorkerPool(THREADS, "benchmark");
    private final Workspace[] workspaces = new Workspace[THREADS];
    private final float[] sinks = new float[THREADS * 16];

    private CpuKernelBenchmark() {
        for (int i = 0; i < THREADS; i++) {
            workspaces[i] = new Workspace();
        }
        SplittableRandom random = new SplittableRandom(1);
        // Every 16-bit pattern is a small number both as binary16 and as bfloat16, and every pair is one as a float.
        for (long i = 0; i < MEMORY; i += 8) {
            long bits = 0x2c00_2c00_2c00_2c00L | random.nextLong() & 0x83ff_83ff_83ff_83ffL;
            memory.set(ValueLayout.JAVA_LONG, i, bits);
        }
    }

    public static void main(String[] arguments) throws Throwable {
        CpuKernelBenchmark benchmark = new CpuKernelBenchmark();
        if (CPU_TIME && THREADS != 1) {
            throw new IllegalArgumentException("cpuTime needs -Dthreads=1");
        }
        System.out.println(benchmark.kernels.description() + ", " + THREADS + " threads, " + ROUNDS + " rounds, "
                + (CPU_TIME ? "processor" : "wall") + " time");
        System.out.printf("%-44s %10s %10s %10s %8s%n", "", "median", "best", "reference", "ratio");
        benchmark.stream();
        benchmark.gemv();
        benchmark.quantizedGemv();
        benchmark.decode();
        benchmark.gemm();
        benchmark.prefill();
    }

    /** Reads {@code bytes} from {@code at}, a multiple of 256 for each part. */
    private void read(long at, long bytes) {
        long part = bytes / PARTS & -256;
        pool.parallelFor(PARTS, (index, worker) -> {
            sinks[worker * 16] += readPart(memory, at + index * part, part);
        });
    }

    private static float readPart(MemorySegment memory, long at, long bytes) {
        FloatVector a = FloatVector.zero(Simd.F), b = a, c = a, d = a;
        int step = 4 * Simd.L;
        java.nio.ByteOrder order = java.nio.ByteOrder.LITTLE_ENDIAN;
        for (long i = 0; i < bytes; i += 4L * step) {
            a = a.add(FloatVector.fromMemorySegment(Simd.F, memory, at + i, order));
            b = b.add(FloatVector.fromMemorySegment(Simd.F, memory, at + i + step, order));
            c = c.add(FloatVector.fromMemorySegment(Simd.F, memory, at + i + 2L * step, order));
            d = d.add(FloatVector.fromMemorySegment(Simd.F, memory, at + i + 3L * step, order));
        }
        return a.add(b).add(c.add(d)).lane(0);
    }

    private static double seconds(IntConsumer action, int round) {
        long start = now();
        action.accept(round);
        return (now() - start) * 1e-9;
    }

    private static long now() {
        return CPU_TIME ? ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime() : System.nanoTime();
    }

    /** Times an action and its reference in turn. {@code work} and {@code unit} are of both. */
    private void measure(String name, double work, String unit, IntConsumer action, IntConsumer reference) {
        if (!name.contains(ONLY)) {
            return;
        }
        // Long enough for the compiler, which competes for the same cores.
        long end = System.nanoTime() + WARM_UP_NANOS;
        for (int i = 0; i < 5 || System.nanoTime() < end; i++) {
            action.accept(i);
            reference.accept(i);
        }
        double[] times = new double[ROUNDS];
        double[] references = new double[ROUNDS];
        double[] ratios = new double[ROUNDS];
        for (int i = 0; i < ROUNDS; i++) {
            times[i] = seconds(action, i);
            references[i] = seconds(reference, i);
            ratios[i] = references[i] / times[i];
        }
        Arrays.sort(times);
        Arrays.sort(references);
        Arrays.sort(ratios);
        System.out.printf(
                "%-44s %10.1f %10.1f %10.1f %8.2f  %s; best to best %.2f%n",
                name,
                work / times[ROUNDS / 2],
                work / times[0],
                work / references[ROUNDS / 2],
                ratios[ROUNDS / 2],
                unit,
                references[0] / times[0]);
    }

    private void stream() {
        long bytes = 32L << 20;
        measure(
                "read, all threads (reference: one)",
                bytes / 1e9,
                "GB/s",
                i -> read(i * bytes % (MEMORY - bytes), bytes),
                i -> sinks[0] += readPart(memory, i * bytes % (MEMORY - bytes), bytes));
    }

    /** Matrices of a decode step, one after the other, so that none is in the cache. */
    private void gemv() {
        int[][] shapes = {{2048, 2048}, {8192, 2048}, {2048, 8192}};
        Matrix x = activations(8, 8192);
        Matrix out = activations(8, 8192);
        for (DType dtype : new DType[] {DType.F16, DType.BF16, DType.F32}) {
            for (int[] shape : shapes) {
                for (int tokens : shape[0] == 8192 ? new int[] {1, 4, 8} : new int[] {1}) {
                    gemv(dtype, shape[0], shape[1], tokens, x, out);
                }
            }
        }
    }

    private void gemv(DType dtype, int outs, int in, int tokens, Matrix x, Matrix out) {
        long bytes = (long) outs * in * dtype.bytes();
        Matrix input = new Matrix(x.segment(), 0, DType.F32, tokens, in);
        Matrix output = new Matrix(out.segment(), 0, DType.F32, tokens, outs);
        measure(
                "linear " + dtype + " [" + outs + ", " + in + "], tokens " + tokens + " (read)",
                bytes / 1e9,
                "GB/s",
                i -> linear(input, weight(dtype, outs, in, i * bytes), output),
                i -> read(i * bytes % (MEMORY - bytes) & -64, bytes));
    }

    /** Quantised weights in the order of the kernels; what is in them does not matter. */
    private void quantizedGemv() {
        int[][] shapes = {{2048, 2048}, {8192, 2048}, {2048, 8192}};
        Matrix x = activations(8, 8192);
        Matrix out = activations(8, 8192);
        for (BlockFormat.Grouped format : QUANTIZED) {
            for (int[] shape : shapes) {
                QuantizedSpec spec = new QuantizedSpec(format, shape[0], shape[1]);
                long bytes = kernels.quantizedBytes(spec);
                Matrix input = new Matrix(x.segment(), 0, DType.F32, 1, shape[1]);
                Matrix output = new Matrix(out.segment(), 0, DType.F32, 1, shape[0]);
                measure(
                        "linear " + name(format) + " [" + shape[0] + ", " + shape[1] + "], tokens 1 (read)",
                        bytes / 1e9,
                        "GB/s",
                        i -> linear(input, weight(spec, i * bytes), output),
                        i -> read(i * bytes % (MEMORY - bytes) & -64, bytes));
            }
        }
    }

    private static String name(BlockFormat.Grouped format) {
        return format.label() + "/" + format.group() + (format.asymmetric() ? "a" : "");
    }

    private QuantizedWeight weight(QuantizedSpec spec, long at) {
        long bytes = kernels.quantizedBytes(spec);
        return new QuantizedWeight(memory.asSlice(at % (MEMORY - bytes) & -64, bytes), spec);
    }

    private Matrix weight(DType dtype, int outs, int in, long at) {
        long bytes = (long) outs * in * dtype.bytes();
        return new Matrix(memory, at % (MEMORY - bytes) & -64, dtype, outs, in);
    }

    private void linear(Matrix x, Weight weight, Matrix out) {
        int tokens = (int) x.rows();
        int form = kernels.inputForm(tokens, weight);
        if (form != 0) {
            kernels.reserve(form, tokens, x.columns(), packed);
            int shares = Math.min(tokens, PARTS);
            if (shares == 1) {
                kernels.pack(form, x, 0, 1, packed);
            } else {
                pool.parallelFor(shares, (share, worker) -> kernels.pack(form, x, share, shares, packed));
            }
        }
        long block = kernels.linearRowBlock();
        long blocks = (weight.rows() + block - 1) / block;
        pool.parallelFor(PARTS, (part, worker) -> {
            long from = blocks * part / PARTS * block;
            long to = Math.min(weight.rows(), blocks * (part + 1) / PARTS * block);
            if (from < to) {
                kernels.linear(x, packed, weight, null, out, from, to, workspaces[worker]);
            }
        });
    }

    private final PackedInput packed = new PackedInput();

    private Matrix activations(int rows, int columns) {
        Random random = new Random(2);
        MemorySegment segment = arena.allocate(4L * rows * columns, 64);
        for (long i = 0; i < (long) rows * columns; i++) {
            segment.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
        }
        return new Matrix(segment, 0, DType.F32, rows, columns);
    }

    private void gemm() throws Throwable {
        String library = System.getProperty("openblas");
        OpenBlas blas = library == null ? null : new OpenBlas(Path.of(library), THREADS);
        for (int tokens : new int[] {512, 64, 16}) {
            for (int[] shape : new int[][] {{2048, 2048}, {2048, 8192}}) {
                int outs = shape[0];
                int in = shape[1];
                Matrix x = activations(tokens, in);
                Matrix out = activations(tokens, outs);
                MemorySegment w = memory.asSlice(0, 4L * outs * in);
                List<Weight> weights = new ArrayList<>();
                List<String> names = new ArrayList<>();
                for (DType dtype : new DType[] {DType.F16, DType.BF16, DType.F32}) {
                    weights.add(weight(dtype, outs, in, 0));
                    names.add(dtype.name());
                }
                for (BlockFormat.Grouped format : QUANTIZED) {
                    weights.add(weight(new QuantizedSpec(format, outs, in), 0));
                    names.add(name(format));
                }
                for (int w0 = 0; w0 < weights.size(); w0++) {
                    Weight weight = weights.get(w0);
                    IntConsumer action = i -> linear(x, weight, out);
                    measure(
                            "linear " + names.get(w0) + " [" + outs + ", " + in + "], tokens " + tokens + " (sgemm)",
                            2e-9 * tokens * outs * in,
                            "GFLOP/s",
                            action,
                            blas == null
                                    ? action
                                    : i -> blas.multiply(tokens, outs, in, x.segment(), w, out.segment()));
                }
            }
        }
    }

    /** Decode attention of eight KV heads, 32 query heads, split into ranges of slots as the device does. */
    private void decode() {
        int slots = Integer.getInteger("slots", 16384);
        for (int dim : new int[] {64, 128}) {
            BlockFormat int8 = new BlockFormat.Grouped(8, dim, true, DType.F16);
            BlockFormat int4 = new BlockFormat.Grouped(4, dim, true, DType.F16);
            for (BlockFormat format : List.of(BlockFormat.BF16, BlockFormat.F16, BlockFormat.F32, int8, int4)) {
                for (int group : format == BlockFormat.BF16 ? new int[] {4, 1, 8} : new int[] {4}) {
                    attention("decode", format, dim, group, slots, 1);
                }
            }
        }
    }

    private void prefill() {
        for (int dim : new int[] {32, 64, 128}) {
            attention("prefill", BlockFormat.BF16, dim, dim == 32 ? 1 : 4, 4096, 512);
        }
    }

    private void attention(String name, BlockFormat format, int dim, int group, int slots, int rows) {
        KvLayout layout = kernels.layout();
        long keys = layout.keyBytes(format, dim, slots) + 63 & -64;
        long bytes = keys + (layout.valueBytes(format, dim, slots) + 63 & -64);
        int heads = 8;
        Matrix q = activations(rows, heads * group * dim);
        Matrix out = activations(rows, heads * group * dim);
        long state = 4L * rows * group * (dim + 2) + 63 & -64;
        MemorySegment partials = arena.allocate(state * heads * PARTS, 64);
        int splits = rows == 1 ? 2 : 1;
        int blocks = (rows + kernels.attendRows(group) - 1) / kernels.attendRows(group);
        IntConsumer action = i -> pool.parallelFor(heads * splits * blocks, (part, worker) -> {
            int head = part / (splits * blocks);
            int split = part % splits;
            int row = part / splits % blocks * kernels.attendRows(group);
            KvHead kv = new KvHead(memory, at(i, heads, bytes) + head * bytes, 0, format, dim, slots);
            KvHead complete = new KvHead(memory, kv.keyOffset(), kv.keyOffset() + keys, format, dim, slots);
            AttentionTask task = new AttentionTask(
                    complete,
                    SlotRuns.upTo(slots),
                    0,
                    AttentionTask.NO_WINDOW,
                    slots - rows + 1,
                    q,
                    head * group * dim,
                    group,
                    0.1f,
                    out);
            kernels.attend(
                    task,
                    row,
                    Math.min(rows, row + kernels.attendRows(group)),
                    (long) slots * split / splits,
                    (long) slots * (split + 1) / splits,
                    splits == 1 ? null : partials.asSlice(part * state),
                    workspaces[worker]);
        });
        String label = name + " " + format.label() + " headDim " + dim + " group " + group + " slots " + slots;
        if (rows == 1) {
            measure(
                    label + " (read)",
                    heads * bytes / 1e9,
                    "GB/s",
                    action,
                    i -> read(at(i, heads, bytes), heads * bytes));
        } else {
            double flops = 4.0 * rows * (slots - rows / 2.0) * heads * group * dim;
            measure(label + " rows " + rows + " (itself)", flops / 1e9, "GFLOP/s", action, action);
        }
    }

    private static long at(int round, int heads, long bytes) {
        return round * heads * bytes % (MEMORY - heads * bytes) & -64;
    }
}
