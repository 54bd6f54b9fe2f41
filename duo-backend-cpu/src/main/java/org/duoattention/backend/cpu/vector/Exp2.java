package org.duoattention.backend.cpu.vector;

import static jdk.incubator.vector.VectorOperators.LSHL;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.L;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/**
 * Powers of two for a softmax, in as few operations as a float needs. {@code x = n + f} with {@code |f| <= 1/2}; {@code 2^f} is a
 * polynomial of degree 5 through the Chebyshev nodes (relative error 1.0e-7; within four ulps with rounding). Its coefficients are
 * {@code 2^27} times too large and {@code 2^n} is made {@code 2^27} times too small, so that {@code n <= -100} becomes an
 * exponent of zero, which is the number zero: no comparison is spent on it and no subnormal number arises. Relative to a softmax's
 * largest term of at least 1 a term below {@code 2^-99} is nothing.
 *
 * <p>NaN stays NaN. Arguments are finite otherwise, and at most 27.
 */
final class Exp2 {
    /** An argument whose power is zero, for what must not be seen. Not infinity, which gives NaN. */
    static final float HIDDEN = -1e30f;

    /** What turns exponents of e into exponents of 2. */
    static final float LOG2E = 1.44269504f;

    /** Adding 1.5 * 2^23 rounds to an integer, which is then in the low bits; 100 more make it an exponent's bits. */
    private static final float ROUND = 12582912f + 100;
    /** The bits of {@link #ROUND} where the exponent's bits are zero. */
    private static final int LEAST = Float.floatToRawIntBits(12582912f);

    private static final float UP = 0x1p27f;
    private static final float C5 = 0.0013390863364616103f * UP;
    private static final float C4 = 0.009676031918324871f * UP;
    private static final float C3 = 0.05550357114219194f * UP;
    private static final float C2 = 0.24022107485308267f * UP;
    private static final float C1 = 0.6931471880262287f * UP;
    private static final float C0 = UP;

    private Exp2() {}

    /**
     * {@code s[i] = 2^s[i]} for rows of {@code count} elements, a multiple of {@link Simd#L}; adds the results of a row, lane
     * by lane, to {@code L} sums.
     *
     * @param s also holds the sums, {@code [rows][L]} at {@code sums}
     * @param stride elements from one row to the next
     */
    static void rows(float[] s, int at, int rows, int stride, int count, int sums) {
        for (int r = 0; r < rows; r++) {
            int from = at + r * stride;
            FloatVector sum = FloatVector.fromArray(F, s, sums + r * L);
            for (int i = from; i < from + count; i += L) {
                FloatVector x = FloatVector.fromArray(F, s, i);
                FloatVector z = x.add(ROUND);
                FloatVector f = x.sub(z.sub(ROUND));
                IntVector power = z.reinterpretAsInts().max(LEAST).lanewise(LSHL, 23);
                FloatVector p = f.fma(FloatVector.broadcast(F, C5), FloatVector.broadcast(F, C4))
                        .fma(f, FloatVector.broadcast(F, C3))
                        .fma(f, FloatVector.broadcast(F, C2))
                        .fma(f, FloatVector.broadcast(F, C1))
                        .fma(f, FloatVector.broadcast(F, C0))
                        .mul(power.reinterpretAsFloats());
                p.intoArray(s, i);
                sum = sum.add(p);
            }
            sum.intoArray(s, sums + r * L);
        }
    }
}
