package org.duoattention.backend.cuda;

import java.io.PrintStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Projection;
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
import org.duoattention.backend.cuda.driver.Context;

/**
 * A program that measures what {@code duo bench} cannot see: linear layers, and the attention of one layer in a decode step
 * and of a chunk, beside a copy from device memory to device memory in the same process. Prints a line per figure: name,
 * value and unit, separated by tabs.
 *
 * <p>Arguments: the depths, in tokens. The shape is that of llama-3-8b.
 */
final class GpuMeasurements {
    private static final ModelShape SHAPE = new ModelShape(32, 4096, 32, 8, 128, 14336, 128256);
    private static final Map<String, BlockFormat> FORMATS = Map.of(
            "f16", BlockFormat.F16,
            "int8", new BlockFormat.Grouped(8, 128, true, DType.F16),
            "int4", new BlockFormat.Grouped(4, 128, true, DType.F16));
    private static final BlockFormat.Grouped INT4_WEIGHTS = new BlockFormat.Grouped(4, 32, false, DType.F16);
    private static final int CHUNK = 4096;
    /** Weights that take turns, so that none is found in the second-level cache. */
    private static final int WEIGHTS = 4;

    private final Device device;
    private final ComputeStream stream;
    private final PrintStream out;
    private final Sizes sizes;

    /**
     * How much is measured.
     *
     * @param copyBytes bytes of the copy
     * @param prefill tokens of the chunk
     * @param tokens tokens of linear layers
     * @param outputs rows of the weight of linear layers
     * @param layers how many times a step does the same, so that the launch of the first does not count much
     * @param repeats measurements, of which the median counts; odd
     */
    record Sizes(long copyBytes, int prefill, List<Integer> tokens, int outputs, int layers, int repeats) {}

    private GpuMeasurements(Device device, ComputeStream stream, PrintStream out, Sizes sizes) {
        this.device = device;
        this.stream = stream;
        this.out = out;
        this.sizes = sizes;
    }

    public static void main(String[] depths) {
        measure(
                new CudaBackend(),
                Map.of(),
                System.out,
                new Sizes(4L << 30, 32768, List.of(1, 512, 4096), SHAPE.intermediateSize(), 32, 9),
                Arrays.stream(depths).mapToInt(Integer::parseInt).toArray());
    }

    static void measure(CudaBackend backend, Map<String, String> options, PrintStream out, Sizes sizes, int... depths) {
        try (Device device = backend.open(options);
                ComputeStream stream = device.openStream()) {
            GpuMeasurements measurements = new GpuMeasurements(device, stream, out, sizes);
            double copy = measurements.copyBandwidth(((CudaDevice) device).context());
            measurements.print("copy, bytes read and written", copy / 1e9, "GB/s");
            for (int depth : depths) {
                for (String format : List.of("f16", "int8", "int4")) {
                    measurements.attention(format, depth, copy);
                }
            }
            measurements.prefill();
            measurements.linears();
            measurements.upload();
            measurements.growth(((CudaDevice) device).memory().granularity());
        }
    }

    private void print(String name, double value, String unit) {
        out.printf(Locale.ROOT, "%s\t%.4f\t%s%n", name, value, unit);
    }

    /** Bytes per second, those read and those written. */
    private double copyBandwidth(Context context) {
        long bytes = Math.min(sizes.copyBytes, device.availableBytes() / 4) / 4096 * 4096;
        TensorSpec spec = TensorSpec.of(DType.F32, bytes / Float.BYTES);
        try (Tensor from = device.allocate(spec);
                Tensor to = device.allocate(spec)) {
            long source = ((CudaTensor) from).address();
            long target = ((CudaTensor) to).address();
            long stream = context.createStream();
            try {
                double seconds = median(() -> {
                    context.driver().call("cuMemcpyDtoDAsync_v2", target, source, bytes, stream);
                    context.driver().streamSynchronize(stream);
                });
                return 2.0 * bytes / seconds;
            } finally {
                context.destroyStream(stream);
            }
        }
    }

    private void attention(String name, int depth, double copy) {
        BlockFormat format = FORMATS.get(name);
        int least = Math.min(CHUNK, depth);
        SlabSpec spec =
                new SlabSpec(SHAPE, 0, HeadSet.range(SHAPE.kvHeads()), format, new Retention.All(), depth, least, 0);
        if (device.bytes(spec) > device.availableBytes()) {
            out.println("attention " + name + " at " + depth + "\tdoes not fit\t");
            return;
        }
        try (Slab slab = device.allocate(spec);
                Tensor rows = device.allocate(TensorSpec.of(DType.F32, least, SHAPE.kvWidth()));
                Tensor q = device.allocate(TensorSpec.of(DType.F32, 1, SHAPE.queryWidth()));
                Tensor result = device.allocate(TensorSpec.of(DType.F32, 1, SHAPE.queryWidth()))) {
            random(rows);
            random(q);
            while (slab.length() < depth - 1) {
                Tensor part = rows.rows(0, (int) Math.min(least, depth - 1 - slab.length()));
                stream.append(slab, part, part);
            }
            // Queries are those of the last append.
            stream.append(slab, rows.rows(0, 1), rows.rows(0, 1));
            float scale = (float) (1 / Math.sqrt(SHAPE.headDim()));
            double seconds = median(() -> {
                        for (int layer = 0; layer < sizes.layers; layer++) {
                            stream.attend(slab, q, scale, PrefillMode.UPSTREAM, result);
                        }
                        stream.synchronize();
                    })
                    / sizes.layers;
            double bytes = 2.0 * depth * SHAPE.kvHeads() * format.rowBytes(SHAPE.headDim());
            print("attention " + name + " at " + depth, bytes / seconds / 1e9, "GB/s");
            print("attention " + name + " at " + depth + ", share of the copy", bytes / seconds / copy, "");
        }
    }

    /** Full attention of a whole chunk, causal, as PyTorch's scaled_dot_product_attention computes it. */
    private void prefill() {
        int tokens = sizes.prefill;
        SlabSpec spec = new SlabSpec(
                SHAPE, 0, HeadSet.range(SHAPE.kvHeads()), BlockFormat.F16, new Retention.All(), tokens, tokens, 0);
        try (Slab slab = device.allocate(spec);
                Tensor rows = device.allocate(TensorSpec.of(DType.F32, tokens, SHAPE.kvWidth()));
                Tensor q = device.allocate(TensorSpec.of(DType.F32, tokens, SHAPE.queryWidth()));
                Tensor result = device.allocate(TensorSpec.of(DType.F32, tokens, SHAPE.queryWidth()))) {
            random(rows);
            random(q);
            stream.append(slab, rows, rows);
            float scale = (float) (1 / Math.sqrt(SHAPE.headDim()));
            double seconds = median(() -> {
                stream.attend(slab, q, scale, PrefillMode.UPSTREAM, result);
                stream.synchronize();
            });
            print("causal attention of " + tokens, seconds * 1e3, "ms");
        }
    }

    /** A layer of the MLP: with 16-bit weights, as PyTorch has them too, and with 4-bit ones. */
    private void linears() {
        int in = SHAPE.hiddenSize();
        TensorSpec spec = TensorSpec.of(DType.BF16, sizes.outputs, in);
        QuantizedSpec quantized = new QuantizedSpec(INT4_WEIGHTS, sizes.outputs, in);
        try (Arena arena = Arena.ofConfined()) {
            HostTensor dense = new HostTensor(spec, arena.allocate(spec.byteSize(), 64));
            QuantizedMatrix codes = new QuantizedMatrix(
                    quantized,
                    arena.allocate(quantized.codeBytes(), 64),
                    arena.allocate(quantized.scaleBytes(), 64),
                    MemorySegment.NULL);
            linear("bf16", () -> device.adopt(dense), spec.byteSize());
            linear("int4", () -> device.adopt(codes), quantized.byteSize());
        }
    }

    private void linear(String name, Supplier<Tensor> weight, long bytes) {
        int in = SHAPE.hiddenSize();
        List<Tensor> weights = Stream.generate(weight).limit(WEIGHTS).toList();
        for (int tokens : sizes.tokens) {
            try (Tensor x = device.allocate(TensorSpec.of(DType.F32, tokens, in));
                    Tensor result = device.allocate(TensorSpec.of(DType.F32, tokens, sizes.outputs))) {
                double seconds = median(() -> {
                            for (int layer = 0; layer < sizes.layers; layer++) {
                                Tensor used = weights.get(layer % WEIGHTS);
                                stream.linear(x, new Projection(used, Optional.empty(), result));
                            }
                            stream.synchronize();
                        })
                        / sizes.layers;
                String what = name + " linear " + in + " to " + sizes.outputs + ", " + tokens + " tokens";
                print(what, seconds * 1e6, "us");
                print(what + ", weights", bytes / seconds / 1e9, "GB/s");
                print(what + ", products", 2.0 * tokens * in * sizes.outputs / seconds / 1e12, "TFLOP/s");
            }
        }
        weights.forEach(Tensor::close);
    }

    /** Weights from the host's memory, which is not pinned, as those of a mapped checkpoint. */
    private void upload() {
        int columns = SHAPE.hiddenSize();
        TensorSpec spec = TensorSpec.of(DType.BF16, Math.max(1, sizes.copyBytes / 4 / 2 / columns), columns);
        try (Arena arena = Arena.ofShared()) {
            HostTensor weight = new HostTensor(spec, arena.allocate(spec.byteSize(), 64));
            double seconds = median(() -> device.adopt(weight).close());
            print("upload of weights", spec.byteSize() / seconds / 1e9, "GB/s");
        }
    }

    /** What the driver takes to give a layer's cache its memory, and to take it back. */
    private void growth(long page) {
        int capacity = Math.max(1 << 16, 2 * sizes.prefill);
        SlabSpec spec = new SlabSpec(
                SHAPE, 0, HeadSet.range(SHAPE.kvHeads()), BlockFormat.F16, new Retention.All(), capacity, CHUNK, 0);
        try (CudaSlab slab = (CudaSlab) device.allocate(spec)) {
            device.reserve(List.of(slab), sizes.prefill);
            long pages = slab.memory().mappedBytes() / page;
            double seconds = median(() -> {
                try (Slab grown = device.allocate(spec)) {
                    device.reserve(List.of(grown), sizes.prefill);
                }
            });
            print("growth of a cache, and its end, a page of " + page, seconds / pages * 1e6, "us");
        }
    }

    private void random(Tensor tensor) {
        Random random = new Random(1);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment host = arena.allocate(tensor.spec().byteSize(), Float.BYTES);
            for (long i = 0; i < tensor.spec().elements(); i++) {
                host.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
            }
            stream.upload(host, tensor);
            stream.synchronize();
        }
    }

    private double median(Runnable work) {
        List<Double> seconds = new ArrayList<>();
        for (int i = -Math.min(3, sizes.repeats); i < sizes.repeats; i++) {
            long start = System.nanoTime();
            work.run();
            if (i >= 0) {
                seconds.add((System.nanoTime() - start) * 1e-9);
            }
        }
        seconds.sort(null);
        return seconds.get(sizes.repeats / 2);
    }
}
