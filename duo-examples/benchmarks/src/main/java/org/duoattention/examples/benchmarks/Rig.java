package org.duoattention.examples.benchmarks;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.Map;
import java.util.Random;
import java.util.ServiceLoader;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
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

/**
 * A device with random weights, activations and slabs. Belongs to the thread that made it, because its stream does. Owns
 * everything that it hands out.
 */
public final class Rig implements AutoCloseable {
    /** Rows that a slab is filled by. */
    private static final int CHUNK = 1024;

    private static final int GROUP = 32;
    /** Halves with random sign and fraction, and an exponent that makes them small. */
    private static final long KEPT = 0x83ff_83ff_83ff_83ffL;

    private static final long EXPONENT = 0x2400_2400_2400_2400L;
    private static final long SCALES = 0x03ff_03ff_03ff_03ffL;

    private final ArrayDeque<AutoCloseable> owned = new ArrayDeque<>();
    private final Random random = new Random(1);
    private final Arena arena;
    private final Device device;
    private final ComputeStream stream;

    private Rig(AttentionBackend backend, Map<String, String> options) {
        arena = Arena.ofShared();
        owned.push(arena);
        device = backend.open(options);
        owned.push(device);
        stream = device.openStream();
        owned.push(stream);
    }

    /** A rig on a backend of the class path. */
    public static Rig open(String backend, Map<String, String> options) {
        return ServiceLoader.load(AttentionBackend.class).stream()
                .map(ServiceLoader.Provider::get)
                .filter(provider -> provider.id().equals(backend))
                .findFirst()
                .map(provider -> new Rig(provider, options))
                .orElseThrow(() -> new IllegalArgumentException("no backend " + backend));
    }

    /** The stream. */
    public ComputeStream stream() {
        return stream;
    }

    /** A format by name: {@code f32}, {@code f16}, {@code bf16}, or {@code int8} and {@code int4} in groups of 32. */
    public static BlockFormat weights(String name) {
        return format(name, GROUP, false);
    }

    /** A format of a cache by name; quantised ones have one group per head and an offset. */
    public static BlockFormat cache(String name, int headDim) {
        return format(name, headDim, true);
    }

    private static BlockFormat format(String name, int group, boolean asymmetric) {
        return switch (name) {
            case "f32" -> BlockFormat.F32;
            case "f16" -> BlockFormat.F16;
            case "bf16" -> BlockFormat.BF16;
            case "int8" -> new BlockFormat.Grouped(8, group, asymmetric, DType.F16);
            case "int4" -> new BlockFormat.Grouped(4, group, asymmetric, DType.F16);
            default -> throw new IllegalArgumentException("no format " + name);
        };
    }

    /** A weight {@code [rows, columns]}; plain ones F16 only. */
    public Tensor weight(BlockFormat format, long rows, long columns) {
        if (format instanceof BlockFormat.Grouped grouped) {
            QuantizedSpec spec = new QuantizedSpec(grouped, rows, columns);
            try (Arena host = Arena.ofShared()) {
                MemorySegment codes = fill(host.allocate(spec.codeBytes(), 64), -1L, 0);
                MemorySegment scales = fill(host.allocate(spec.scaleBytes(), 64), SCALES, EXPONENT >> 1);
                return own(device.adopt(new QuantizedMatrix(spec, codes, scales, MemorySegment.NULL)));
            }
        }
        TensorSpec spec = TensorSpec.of(DType.F16, rows, columns);
        return own(device.adopt(new HostTensor(spec, fill(arena.allocate(spec.byteSize(), 64), KEPT, EXPONENT))));
    }

    private MemorySegment fill(MemorySegment data, long kept, long set) {
        for (long i = 0; i + 8 <= data.byteSize(); i += 8) {
            data.set(ValueLayout.JAVA_LONG_UNALIGNED, i, random.nextLong() & kept | set);
        }
        return data;
    }

    /** Random activations {@code [rows, columns]}. */
    public Tensor activations(int rows, int columns) {
        Tensor tensor = own(device.allocate(TensorSpec.of(DType.F32, rows, columns)));
        try (Arena host = Arena.ofConfined()) {
            MemorySegment data = host.allocate(tensor.spec().byteSize(), Float.BYTES);
            for (long i = 0; i < tensor.spec().elements(); i++) {
                data.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
            }
            stream.upload(data, tensor);
            stream.synchronize();
        }
        return tensor;
    }

    /** A slab that keeps everything, filled up to a depth; the last chunk is as long as the queries that will follow. */
    public Slab slab(ModelShape shape, BlockFormat format, int depth, int rows) {
        int chunk = Math.max(CHUNK, rows);
        Slab slab = own(device.allocate(new SlabSpec(
                shape,
                0,
                HeadSet.range(shape.kvHeads()),
                format,
                new Retention.All(),
                Math.max(depth, chunk),
                chunk,
                0)));
        Tensor k = activations(chunk, shape.kvWidth());
        Tensor v = activations(chunk, shape.kvWidth());
        while (slab.length() < depth) {
            int before = depth - rows;
            int count = slab.length() < before ? (int) Math.min(chunk, before - slab.length()) : rows;
            stream.append(slab, k.rows(0, count), v.rows(0, count));
        }
        stream.synchronize();
        return slab;
    }

    private <T extends AutoCloseable> T own(T resource) {
        owned.push(resource);
        return resource;
    }

    @Override
    public void close() {
        while (!owned.isEmpty()) {
            try {
                owned.pop().close();
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        }
    }
}
