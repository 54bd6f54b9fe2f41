package org.duoattention.examples.cli.synthetic;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.LongStream;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.HostWeight;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.api.tensor.QuantizedSpec;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.core.load.WeightSource;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.model.ModelTensors;

/**
 * Weights of a shape that nobody trained: every matrix has memory of its own, as many bytes as a real one, filled with
 * small random numbers of both signs, so that a pass over them costs what a real one costs. Norms are ones, biases zeros.
 *
 * <p>Owns the memory of dense tensors. Quantised matrices are made in the arena of the caller.
 */
public final class RandomWeights implements WeightSource, AutoCloseable {
    private static final long BLOCK = 1 << 20;
    /** Sign and fraction of numbers whose exponent is fixed: magnitudes from 1/64 to 1/32, about 1/sqrt(2048). */
    private static final int EXPONENT = -6;

    private final Map<String, ModelTensors.Entry> entries = new TreeMap<>();
    private final Map<String, HostTensor> dense = new TreeMap<>();
    private final Arena arena = Arena.ofShared();
    private final WeightFormat format;

    /** Weights for a configuration; memory is taken when a tensor is asked for. */
    public RandomWeights(ModelConfig config, WeightFormat format) {
        this.format = format;
        ModelTensors.of(config).forEach(entry -> entries.put(entry.name(), entry));
    }

    @Override
    public Optional<HostTensor> find(String name) {
        return Optional.ofNullable(entries.get(name)).map(entry -> dense.computeIfAbsent(name, absent -> make(entry)));
    }

    private HostTensor make(ModelTensors.Entry entry) {
        TensorSpec spec = new TensorSpec(format.dense(), entry.shape());
        MemorySegment data = arena.allocate(spec.byteSize(), 64);
        if (entry.isMatrix()) {
            fill(data, entry.name().hashCode(), kept(spec.dtype()), set(spec.dtype()));
        } else if (!entry.name().endsWith(".bias")) {
            ones(data, spec.dtype());
        }
        return new HostTensor(spec, data);
    }

    @Override
    public HostTensor get(String name, long... shape) {
        HostTensor tensor = find(name).orElseThrow(() -> new IllegalArgumentException("no tensor " + name));
        if (!tensor.spec().equals(TensorSpec.of(format.dense(), shape))) {
            throw new IllegalArgumentException(name + " is " + tensor.spec() + ", not " + Arrays.toString(shape));
        }
        return tensor;
    }

    @Override
    public HostWeight matrix(String name, long rows, long columns, Arena decoded) {
        ModelTensors.Entry entry = entries.get(name);
        if (entry == null || !(format.matrices() instanceof BlockFormat.Grouped grouped)) {
            return get(name, rows, columns);
        }
        QuantizedSpec spec = WeightFormat.quantized(grouped, entry);
        MemorySegment codes = decoded.allocate(spec.codeBytes(), 64);
        MemorySegment scales = decoded.allocate(spec.scaleBytes(), 64);
        fill(codes, name.hashCode(), -1L, 0);
        // Codes of 4 and 8 bits spread over 4.6 and 74 steps.
        int exponent = grouped.bits() == 4 ? EXPONENT - 2 : EXPONENT - 6;
        fill(scales, ~name.hashCode(), repeat(0x03ff), repeat(exponent + 15 << 10));
        return new QuantizedMatrix(spec, codes, scales, MemorySegment.NULL);
    }

    private static long kept(DType dtype) {
        return switch (dtype) {
            case F16 -> repeat(0x83ff);
            case BF16 -> repeat(0x807f);
            default -> 0x807f_ffff_807f_ffffL;
        };
    }

    private static long set(DType dtype) {
        return switch (dtype) {
            case F16 -> repeat(EXPONENT + 15 << 10);
            case BF16 -> repeat(EXPONENT + 127 << 7);
            default -> (EXPONENT + 127L << 23) * 0x1_0000_0001L;
        };
    }

    private static long repeat(int bits16) {
        return bits16 * 0x0001_0001_0001_0001L;
    }

    /** Random bits where {@code kept} has ones, and the bits of {@code set}. */
    private static void fill(MemorySegment data, long seed, long kept, long set) {
        long bytes = data.byteSize();
        LongStream.range(0, (bytes + BLOCK - 1) / BLOCK).parallel().forEach(block -> {
            SplittableRandom random = new SplittableRandom(seed * 31 + block);
            MemorySegment part = data.asSlice(block * BLOCK, Math.min(BLOCK, bytes - block * BLOCK));
            long whole = part.byteSize() & -8;
            for (long i = 0; i < whole; i += 8) {
                part.set(ValueLayout.JAVA_LONG_UNALIGNED, i, random.nextLong() & kept | set);
            }
            long last = random.nextLong() & kept | set;
            for (long i = whole; i < part.byteSize(); i++) {
                part.set(ValueLayout.JAVA_BYTE, i, (byte) (last >>> 8 * (i - whole)));
            }
        });
    }

    private static void ones(MemorySegment data, DType dtype) {
        if (dtype == DType.F32) {
            for (long i = 0; i < data.byteSize(); i += 4) {
                data.set(ValueLayout.JAVA_FLOAT, i, 1);
            }
            return;
        }
        short one = (short) (dtype == DType.F16 ? 0x3c00 : 0x3f80);
        for (long i = 0; i < data.byteSize(); i += 2) {
            data.set(ValueLayout.JAVA_SHORT, i, one);
        }
    }

    @Override
    public boolean isQuantized() {
        return format.matrices() instanceof BlockFormat.Grouped;
    }

    @Override
    public Set<String> names() {
        return new TreeSet<>(entries.keySet());
    }

    @Override
    public Set<DType> dtypes() {
        return Set.of(format.dense());
    }

    @Override
    public long totalBytes() {
        return entries.values().stream().mapToLong(this::bytes).sum();
    }

    private long bytes(ModelTensors.Entry entry) {
        return entry.isMatrix() && format.matrices() instanceof BlockFormat.Grouped grouped
                ? WeightFormat.quantized(grouped, entry).byteSize()
                : new TensorSpec(format.dense(), entry.shape()).byteSize();
    }

    @Override
    public void close() {
        arena.close();
    }
}
