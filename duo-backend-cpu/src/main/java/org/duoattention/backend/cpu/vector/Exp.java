package org.duoattention.backend.cpu.vector;

import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LT;
import static org.duoattention.backend.cpu.vector.Simd.F;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/**
 * The exponential in vectors. {@code x = n ln 2 + r} with {@code |r| <= ln(2) / 2}; {@code e^r} is the polynomial of degree
 * 7 of Cephes {@code expf} (S. Moshier, netlib.org/cephes), {@code n} is added to the exponent. Within 1 ulp of the true
 * value where it was tested, on {@code [FLUSH, 0]}. {@link jdk.incubator.vector.VectorOperators#EXP} is a call of a
 * library on some platforms and a loop over lanes on others.
 *
 * <p>Below {@link #FLUSH} the result is zero. Relative to a softmax's largest term of 1 that is {@code 2^-115}, which no
 * float sum of fewer than 2^90 terms can see. NaN stays NaN.
 */
final class Exp {
    /** Arguments below give zero. */
    static final float FLUSH = -80f;

    /** Largest argument. */
    static final float LIMIT = 87f;

    private static final float LOG2E = 1.44269504f;
    /** Adding 1.5 * 2^23 rounds to an integer, which is then in the low bits. */
    private static final float ROUND = 12582912f;
    // ln 2 in two parts; the upper one has zeros at the end, so its multiples are exact.
    private static final float LN2_HIGH = 0.693359375f;
    private static final float LN2_LOW = -2.12194440e-4f;
    private static final float C5 = 1.9875691500e-4f;
    private static final float C4 = 1.3981999507e-3f;
    private static final float C3 = 8.3334519073e-3f;
    private static final float C2 = 4.1665795894e-2f;
    private static final float C1 = 1.6666665459e-1f;
    private static final float C0 = 5.0000001201e-1f;

    private Exp() {}

    /** {@code e^x}, for {@code x <= LIMIT}. */
    static FloatVector of(FloatVector x) {
        FloatVector z = x.fma(FloatVector.broadcast(F, LOG2E), FloatVector.broadcast(F, ROUND));
        IntVector exponent = z.reinterpretAsInts().lanewise(LSHL, 23);
        FloatVector n = z.sub(ROUND);
        FloatVector r = n.fma(FloatVector.broadcast(F, -LN2_LOW), n.fma(FloatVector.broadcast(F, -LN2_HIGH), x));
        FloatVector p = r.fma(FloatVector.broadcast(F, C5), FloatVector.broadcast(F, C4))
                .fma(r, FloatVector.broadcast(F, C3))
                .fma(r, FloatVector.broadcast(F, C2))
                .fma(r, FloatVector.broadcast(F, C1))
                .fma(r, FloatVector.broadcast(F, C0))
                .fma(r.mul(r), r)
                .add(1f);
        return p.reinterpretAsInts().add(exponent).reinterpretAsFloats().blend(0f, x.compare(LT, FLUSH));
    }
}
