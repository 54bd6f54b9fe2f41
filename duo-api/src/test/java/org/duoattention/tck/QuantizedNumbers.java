package org.duoattention.tck;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.api.tensor.QuantizedSpec;

/**
 * A random quantised matrix as plain arrays.
 *
 * @param spec format and extents
 * @param codes one per element
 * @param scales one per group, representable in the scale type; some are zero or negative
 * @param offsets likewise; of a symmetric format, what the codes are centred by
 */
record QuantizedNumbers(QuantizedSpec spec, int[] codes, double[] scales, double[] offsets) {
    static QuantizedNumbers of(QuantizedSpec spec, SplittableRandom random) {
        BlockFormat.Grouped format = spec.format();
        int[] codes = new int[Math.toIntExact(spec.rows() * spec.columns())];
        for (int i = 0; i < codes.length; i++) {
            codes[i] = random.nextInt(format.largestCode() + 1);
        }
        int groups = Math.toIntExact(spec.rows() * spec.groups());
        double[] scales = Numbers.random(format.scaleType(), groups, 1.0 / format.largestCode(), random);
        scales[groups / 2] = 0;
        double[] offsets = Numbers.random(format.scaleType(), groups, 1, random);
        if (!format.asymmetric()) {
            for (int g = 0; g < groups; g++) {
                offsets[g] = -format.centre() * scales[g];
            }
        }
        return new QuantizedNumbers(spec, codes, scales, offsets);
    }

    /** The values, row-major. */
    double[] values() {
        double[] values = new double[codes.length];
        for (int i = 0; i < codes.length; i++) {
            int group = i / spec.format().group();
            values[i] = offsets[group] + codes[i] * scales[group];
        }
        return values;
    }

    /** The sizes of offset and scaled code together, row-major. */
    double[] sizes() {
        double[] sizes = new double[codes.length];
        for (int i = 0; i < codes.length; i++) {
            int group = i / spec.format().group();
            sizes[i] = Math.abs(offsets[group]) + Math.abs(codes[i] * scales[group]);
        }
        return sizes;
    }

    /** In host memory, every part at an odd address. */
    QuantizedMatrix matrix(Arena arena) {
        MemorySegment packed = odd(arena, spec.codeBytes());
        for (int i = 0; i < codes.length; i++) {
            if (spec.format().bits() == 8) {
                packed.set(ValueLayout.JAVA_BYTE, i, (byte) codes[i]);
            } else {
                byte before = packed.get(ValueLayout.JAVA_BYTE, i / 2);
                packed.set(ValueLayout.JAVA_BYTE, i / 2, (byte) (before | codes[i] << 4 * (i % 2)));
            }
        }
        return new QuantizedMatrix(
                spec,
                packed.asReadOnly(),
                numbers(arena, scales, spec.scaleBytes()),
                numbers(arena, offsets, spec.offsetBytes()));
    }

    private MemorySegment numbers(Arena arena, double[] numbers, long bytes) {
        MemorySegment segment = odd(arena, bytes);
        for (int i = 0; i < bytes / spec.format().scaleType().bytes(); i++) {
            HostNumbers.set(spec.format().scaleType(), segment, i, numbers[i]);
        }
        return segment.asReadOnly();
    }

    private static MemorySegment odd(Arena arena, long bytes) {
        return arena.allocate(bytes + 1, 16).asSlice(1);
    }
}
