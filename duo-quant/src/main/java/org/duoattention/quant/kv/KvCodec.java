package org.duoattention.quant.kv;

import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;

/**
 * Quantises one group of a key or value row: per token and head, asymmetric (the granularity that KIVI, arXiv
 * 2402.02750, uses for values; keys are taken after RoPE and per token too, so that a token can be appended, evicted and
 * taken back on its own).
 *
 * <p>The offset is the group's minimum, rounded down to binary16; the scale is the span from there to the maximum divided
 * by the largest code, rounded up to binary16. Codes are computed from the rounded numbers, so that every element is
 * within the range of the codes and half a step from its own: rounding offset and scale costs range, never clipping.
 *
 * <p>Immutable; may be used from any thread.
 */
public final class KvCodec {
    private final BlockFormat.Grouped format;

    /**
     * A codec.
     *
     * @throws IllegalArgumentException unless the format is asymmetric with F16 scales
     */
    public KvCodec(BlockFormat.Grouped format) {
        if (!format.asymmetric() || format.scaleType() != DType.F16) {
            throw new IllegalArgumentException(
                    "keys and values are quantised with offsets and F16 scales, not as " + format);
        }
        this.format = format;
    }

    /** The format. */
    public BlockFormat.Grouped format() {
        return format;
    }

    /** The offset of a group as binary16 bits: its minimum, rounded down. Elements below -65504 are taken as that. */
    public short offset(float[] row, int from) {
        float least = row[from];
        for (int i = 1; i < format.group(); i++) {
            least = Math.min(least, row[from + i]);
        }
        return roundDown(least);
    }

    /**
     * The scale of a group as binary16 bits: what takes the largest code from the offset to the maximum or beyond.
     *
     * @param offset what {@link #offset} gave
     */
    public short scale(float[] row, int from, short offset) {
        float most = row[from];
        for (int i = 1; i < format.group(); i++) {
            most = Math.max(most, row[from + i]);
        }
        return (short) (roundDown((Float.float16ToFloat(offset) - most) / format.largestCode()) ^ 0x8000);
    }

    /** The code of one element: the nearest step, ties to even. */
    public int code(float value, short offset, short scale) {
        float step = Float.float16ToFloat(scale);
        if (step == 0) {
            return 0;
        }
        double code = Math.rint((value - Float.float16ToFloat(offset)) / step);
        return (int) Math.clamp(code, 0, format.largestCode());
    }

    /** The value that a code stands for. */
    public static float value(int code, short offset, short scale) {
        return Math.fma((float) code, Float.float16ToFloat(scale), Float.float16ToFloat(offset));
    }

    /** The largest finite binary16 that is not above a value, or the smallest finite one. */
    private static short roundDown(float value) {
        short bits = Float.floatToFloat16(Math.clamp(value, -65504f, 65504f));
        if (Float.float16ToFloat(bits) <= value) {
            return bits;
        }
        // Towards minus infinity: negative numbers grow in magnitude, positive ones shrink, +0 becomes the least
        // negative.
        if ((bits & 0x7fff) == 0) {
            return (short) 0x8001;
        }
        return (short) (bits < 0 ? Math.min(bits & 0x7fff, 0x7bfe) + 1 | 0x8000 : bits - 1);
    }
}
