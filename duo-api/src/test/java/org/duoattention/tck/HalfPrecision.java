package org.duoattention.tck;

import org.duoattention.api.tensor.DType;

/**
 * Binary16 and bfloat16 by arithmetic on exponents, so that tests do not compare a conversion with itself. Rounds to
 * nearest, ties to even (IEEE 754-2019, 4.3.1); values past the largest finite one become infinite.
 */
public final class HalfPrecision {
    private HalfPrecision() {}

    /** The value that a cell of the given type holds after {@code value} was stored in it. */
    public static double round(DType dtype, double value) {
        return switch (dtype) {
            case F32 -> (float) value;
            case F16 -> round(value, 11, -14, 15);
            case BF16 -> round(value, 8, -126, 127);
            default -> throw new IllegalArgumentException("no rounding to " + dtype);
        };
    }

    private static double round(double value, int precision, int minExponent, int maxExponent) {
        if (Double.isNaN(value) || Double.isInfinite(value) || value == 0) {
            return value;
        }
        int exponent = Math.max(Math.getExponent(value), minExponent);
        int shift = precision - 1 - exponent;
        double rounded = Math.scalb(Math.rint(Math.scalb(value, shift)), -shift);
        return Math.getExponent(rounded) > maxExponent ? Math.copySign(Double.POSITIVE_INFINITY, value) : rounded;
    }

    /** The bits of a binary16 or bfloat16 that holds {@code value} rounded. */
    public static short bits(DType dtype, double value) {
        return switch (dtype) {
            case F16 -> bits(round(dtype, value), 10, 15);
            case BF16 -> bits(round(dtype, value), 7, 127);
            default -> throw new IllegalArgumentException(dtype + " does not have 16 bits");
        };
    }

    private static short bits(double value, int fractionBits, int bias) {
        int sign = Double.doubleToRawLongBits(value) < 0 ? 0x8000 : 0;
        double magnitude = Math.abs(value);
        int special = (2 * bias + 1) << fractionBits;
        if (Double.isNaN(value)) {
            return (short) (sign | special | 1 << (fractionBits - 1));
        }
        if (Double.isInfinite(value)) {
            return (short) (sign | special);
        }
        int exponent = Math.max(Math.getExponent(magnitude), 1 - bias);
        int significand = (int) Math.scalb(magnitude, fractionBits - exponent);
        boolean subnormal = significand < 1 << fractionBits;
        int biased = subnormal ? 0 : exponent + bias;
        return (short) (sign | biased << fractionBits | significand & (1 << fractionBits) - 1);
    }

    /** The value of the bits of a binary16 or bfloat16. */
    public static double value(DType dtype, short bits) {
        return switch (dtype) {
            case F16 -> value(bits & 0xffff, 10, 15);
            case BF16 -> value(bits & 0xffff, 7, 127);
            default -> throw new IllegalArgumentException(dtype + " does not have 16 bits");
        };
    }

    private static double value(int bits, int fractionBits, int bias) {
        int fraction = bits & (1 << fractionBits) - 1;
        int exponent = bits >> fractionBits & 2 * bias + 1;
        double sign = (bits & 0x8000) != 0 ? -1 : 1;
        if (exponent == 2 * bias + 1) {
            return fraction == 0 ? sign * Double.POSITIVE_INFINITY : Double.NaN;
        }
        return exponent == 0
                ? sign * Math.scalb((double) fraction, 1 - bias - fractionBits)
                : sign * Math.scalb((double) (fraction | 1 << fractionBits), exponent - bias - fractionBits);
    }
}
