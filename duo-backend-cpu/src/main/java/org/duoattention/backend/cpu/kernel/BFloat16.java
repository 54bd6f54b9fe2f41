package org.duoattention.backend.cpu.kernel;

/** bfloat16, the upper half of a binary32. */
public final class BFloat16 {
    private BFloat16() {}

    /** The nearest bfloat16, ties to even; a NaN stays one. */
    public static short round(float value) {
        int bits = Float.floatToRawIntBits(value);
        if (Float.isNaN(value)) {
            return (short) (bits >>> 16 | 0x40);
        }
        return (short) (bits + 0x7fff + (bits >>> 16 & 1) >>> 16);
    }

    /** The same number as a float. */
    public static float widen(short bits) {
        return Float.intBitsToFloat(bits << 16);
    }
}
