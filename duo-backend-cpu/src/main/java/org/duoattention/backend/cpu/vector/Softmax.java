package org.duoattention.backend.cpu.vector;

import static jdk.incubator.vector.VectorOperators.ASHR;
import static jdk.incubator.vector.VectorOperators.GT;
import static jdk.incubator.vector.VectorOperators.LSHR;
import static jdk.incubator.vector.VectorOperators.MAX;
import static jdk.incubator.vector.VectorOperators.XOR;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.I;
import static org.duoattention.backend.cpu.vector.Simd.L;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/** The parts of an online softmax besides the exponential. */
final class Softmax {
    private Softmax() {}

    /**
     * The largest of {@code count} floats and {@code top}, ignoring NaN. Comparing and blending replaces the maximum of
     * {@link FloatVector}, which spends six instructions on NaN and zero signs; the last step compares floats as
     * integers, and is seldom needed once the largest product has been seen.
     *
     * @param count a multiple of {@link Simd#L}
     */
    static float max(float[] s, int at, int count, float top) {
        FloatVector old = FloatVector.broadcast(F, top);
        FloatVector max = old;
        for (int i = at; i < at + count; i += L) {
            FloatVector v = FloatVector.fromArray(F, s, i);
            max = max.blend(v, v.compare(GT, max));
        }
        if (!max.compare(GT, old).anyTrue()) {
            return top;
        }
        IntVector bits = max.reinterpretAsInts();
        // Negative floats compare like their bits once all bits but the sign are flipped; the same step goes back.
        int key = bits.lanewise(XOR, bits.lanewise(ASHR, 31).lanewise(LSHR, 1)).reduceLanes(MAX);
        return Float.intBitsToFloat(key ^ key >> 31 >>> 1);
    }

    /** Whether one of {@code count} floats, a multiple of {@link Simd#L}, is above {@link Tile#HEADROOM}. */
    static boolean exceeds(float[] s, int at, int count) {
        IntVector most = IntVector.zero(I);
        for (int i = at; i < at + count; i += L) {
            most = most.max(FloatVector.fromArray(F, s, i).reinterpretAsInts());
        }
        return most.compare(GT, Tile.HEADROOM_BITS).anyTrue();
    }

    /** {@code s[i] += term} for {@code count} elements, a multiple of {@link Simd#L}. */
    static void add(float[] s, int at, int count, float term) {
        for (int i = at; i < at + count; i += L) {
            FloatVector.fromArray(F, s, i).add(term).intoArray(s, i);
        }
    }

    /** {@code s[i] *= factor} for {@code count} elements, a multiple of {@link Simd#L}. */
    static void scale(float[] s, int at, int count, float factor) {
        for (int i = at; i < at + count; i += L) {
            FloatVector.fromArray(F, s, i).mul(factor).intoArray(s, i);
        }
    }
}
