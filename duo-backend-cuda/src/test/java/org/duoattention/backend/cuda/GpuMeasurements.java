package org.duoattention.backend.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
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
import org.duoattention.backend.cuda.driver.Context;

/**
 * A program that measures what {@code duo bench} cannot see: the attention of one layer in a decode step, beside a copy from
 * device memory to device memory in the same process. Prints a line per figure: name, value and unit, separated by tabs.
 *
 * <p>Arguments: the depths, in tokens. The shape is that of llama-3-8b.
 */
final class GpuMeasurements {
    private static final ModelShape SHAPE = new ModelShape(32, 4096, 32, 8, 128, 14336, 128256);
    private static final Map<String, BlockFormat> FORMATS = Map.of(
            "f16", BlockFormat.F16,
            "int8", new BlockFormat.Grouped(8, 128, true, DType.F16),
            "int4", new BlockFormat.Grouped(4, 128, true, DType.F16));
    private static final int CHUNK = 4096;
    private static final int PREFILL = 32768;
    private static final long COPY_BYTES = 4L << 30;
    private static final int REPEATS = 9;
    /** Layers of one step: so that the launch of the first does not count much. */
    private static final int LAYERS = 32;

    private GpuMeasurements() {}

    public static void main(String[] depths) {
        try (Device device = new CudaBackend().open(Map.of());
                ComputeStream stream = device.openStream()) {
            double copy = copyBandwidth(((CudaDevice) device).context(), device);
            print("copy, bytes read and written", copy / 1e9, "GB/s");
            prefill(device, stream);
            for (String depth : depths) {
                for (String format : List.of("f16", "int8", "int4")) {
                    attention(device, stream, format, Integer.parseInt(depth), copy);
                }
            }
        }
    }

    private static void print(String name, double value, String unit) {
        System.out.printf(Locale.ROOT, "%s\t%.4f\t%s%n", name, value, unit);
    }

    /** Bytes per second, those read and those written. */
    private static double copyBandwidth(Context context, Device device) {
        long bytes = Math.min(COPY_BYTES, device.availableBytes() / 4) / 4096 * 4096;
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

    private static void attention(Device device, ComputeStream stream, String name, int depth, double copy) {
        BlockFormat format = FORMATS.get(name);
        int least = Math.min(CHUNK, depth);
        SlabSpec spec =
                new SlabSpec(SHAPE, 0, HeadSet.range(SHAPE.kvHeads()), format, new Retention.All(), depth, least, 0);
        if (device.bytes(spec) > device.availableBytes()) {
            System.out.println("attention " + name + " at " + depth + "\tdoes not fit\t");
            return;
        }
        try (Slab slab = device.allocate(spec);
                Tensor rows = device.allocate(TensorSpec.of(DType.F32, least, SHAPE.kvWidth()));
                Tensor q = device.allocate(TensorSpec.of(DType.F32, 1, SHAPE.queryWidth()));
                Tensor out = device.allocate(TensorSpec.of(DType.F32, 1, SHAPE.queryWidth()))) {
            random(stream, rows);
            random(stream, q);
            while (slab.length() < depth) {
                Tensor part = rows.rows(0, (int) Math.min(least, depth - slab.length()));
                stream.append(slab, part, part);
            }
            float scale = (float) (1 / Math.sqrt(SHAPE.headDim()));
            double seconds = median(() -> {
                        for (int layer = 0; layer < LAYERS; layer++) {
                            stream.attend(slab, q, scale, PrefillMode.UPSTREAM, out);
                        }
                        stream.synchronize();
                    })
                    / LAYERS;
            double bytes = 2.0 * depth * SHAPE.kvHeads() * format.rowBytes(SHAPE.headDim());
            print("attention " + name + " at " + depth, bytes / seconds / 1e9, "GB/s");
            print("attention " + name + " at " + depth + ", share of the copy", bytes / seconds / copy, "");
        }
    }

    /** Full attention of a whole chunk, causal, as PyTorch's scaled_dot_product_attention computes it. */
    private static void prefill(Device device, ComputeStream stream) {
        SlabSpec spec = new SlabSpec(
                SHAPE, 0, HeadSet.range(SHAPE.kvHeads()), BlockFormat.F16, new Retention.All(), PREFILL, PREFILL, 0);
        try (Slab slab = device.allocate(spec);
                Tensor rows = device.allocate(TensorSpec.of(DType.F32, PREFILL, SHAPE.kvWidth()));
                Tensor q = device.allocate(TensorSpec.of(DType.F32, PREFILL, SHAPE.queryWidth()));
                Tensor out = device.allocate(TensorSpec.of(DType.F32, PREFILL, SHAPE.queryWidth()))) {
            random(stream, rows);
            random(stream, q);
            stream.append(slab, rows, rows);
            float scale = (float) (1 / Math.sqrt(SHAPE.headDim()));
            double seconds = median(() -> {
                stream.attend(slab, q, scale, PrefillMode.UPSTREAM, out);
                stream.synchronize();
            });
            print("causal attention of " + PREFILL, seconds * 1e3, "ms");
        }
    }

    private static void random(ComputeStream stream, Tensor tensor) {
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

    private static double median(Runnable work) {
        List<Double> seconds = new ArrayList<>();
        for (int i = -3; i < REPEATS; i++) {
            long start = System.nanoTime();
            work.run();
            if (i >= 0) {
                seconds.add((System.nanoTime() - start) * 1e-9);
            }
        }
        seconds.sort(null);
        return seconds.get(REPEATS / 2);
    }
}
