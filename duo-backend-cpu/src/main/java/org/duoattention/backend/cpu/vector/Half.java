package org.duoattention.backend.cpu.vector;

/**
 * How binary16 becomes binary32 in vector registers, where no instruction for it can be reached from Java.
 *
 * <p>The 15 bits of exponent and mantissa, shifted left by 13 and with 224 or-ed into the exponent, are the float {@code
 * |x| * 2^112} for every normal {@code x}; exponent 31 becomes 255, so infinities and NaNs stay what they are. For a
 * subnormal {@code x} (and zero) these bits give {@code v = 2^97 * (1 + m)}, where {@code 2^98 * m = 2v - 2^98} is meant.
 * For normal numbers that expression is not below {@code v}, and floats that are not negative compare like their bits, so
 * an integer minimum of the two chooses right in every case; the sign is or-ed in at last. All steps are exact.
 *
 * <p>Scaling down instead ({@code bits << 13} as {@code x * 2^-112}) takes half the instructions, but subnormal weights
 * become subnormal floats, and multiplying these traps into microcode on Intel: with 0.25 % of such weights, common in
 * checkpoints, a product from cache fell from 30 to 9 GB/s, and with 2 % to 1.5.
 */
final class Half {
    /** Exponent and mantissa after the shift. */
    static final int MAGNITUDE = 0x0fffe000;

    /** 224 in the exponent of a float; disjoint from {@link #MAGNITUDE}. */
    static final int BIAS = 0x70000000;

    static final int SIGN = 0x80000000;

    /** Minus the scaled value of the least normal number. */
    static final float MINUS_LEAST_NORMAL = -0x1p98f;

    /** What undoes the scale. */
    static final float UNSCALE = 0x1p-112f;

    /**
     * What undoes half of it: products are formed of weights times {@code 2^112} and inputs times {@code 2^-56}, and sums
     * are multiplied by {@code 2^-56}, so that neither overflows nor becomes subnormal in the range of activations.
     */
    static final float HALF_UNSCALE = 0x1p-56f;

    private Half() {}
}
