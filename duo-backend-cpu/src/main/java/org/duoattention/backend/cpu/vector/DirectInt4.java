package org.duoattention.backend.cpu.vector;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static jdk.incubator.vector.VectorOperators.B2I;
import static jdk.incubator.vector.VectorOperators.I2F;
import static org.duoattention.backend.cpu.vector.Simd.B;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.I;
import static org.duoattention.backend.cpu.vector.Simd.L;
import static org.duoattention.backend.cpu.vector.Simd.PANEL;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/**
 * The two products of attention with 4-bit codes as {@link CodeLayout} has them, for a few rows. Codes are multiplied as they
 * come from memory; scales and offsets are applied outside the loops. The upper half of a byte is masked where it stands, which
 * makes it 16 times too large: queries of odd dimensions come divided by 16 ({@link #ODD}), and sums of upper halves are divided at
 * the end. Both are exact.
 */
final class DirectInt4 {
    /** What queries of odd dimensions have been multiplied with. */
    static final float ODD = 0x1p-4f;

    private DirectInt4() {}

    /**
     * {@code s[row][slot] += scale[slot] * (sum over d of q[row][d] * code[d][slot]) + offset[slot] * sum[row]} for a panel of
     * slots and a group of dimensions.
     *
     * @param m scratch that holds everything but the codes, at offsets
     * @param q queries of the group, rows {@code ldq} apart
     * @param x codes from byte {@code xo}
     * @param depth dimensions of the group
     * @param scale scales of the panel; its offsets are {@link CodeLayout#SLOTS} floats further
     * @param sum sum of a row's queries, {@code ldq} apart
     * @param s products, rows {@code lds} apart
     */
    static void keys(
            int rows, float[] m, int q, int ldq, MemorySegment x, long xo, int depth, int scale, int sum, int s, int lds) {
        int i = 0;
        for (; i + 4 <= rows; i += 4) {
            keys4(m, q + i * ldq, ldq, x, xo, depth, scale, sum + i * ldq, s + i * lds, lds);
        }
        if (i + 2 <= rows) {
            keys2(m, q + i * ldq, ldq, x, xo, depth, scale, sum + i * ldq, s + i * lds, lds);
            i += 2;
        }
        if (i < rows) {
            keys1(m, q + i * ldq, x, xo, depth, scale, sum + i * ldq, s + i * lds);
        }
    }

    private static void keys4(
            float[] m, int q, int ldq, MemorySegment x, long xo, int depth, int scale, int sum, int s, int lds) {
        int q1 = q + ldq;
        int q2 = q1 + ldq;
        int q3 = q2 + ldq;
        FloatVector s0 = FloatVector.zero(F);
        FloatVector t0 = s0;
        FloatVector s1 = FloatVector.zero(F);
        FloatVector t1 = s1;
        FloatVector s2 = FloatVector.zero(F);
        FloatVector t2 = s2;
        FloatVector s3 = FloatVector.zero(F);
        FloatVector t3 = s3;
        for (int d = 0; d < depth; d += 2) {
            long p = xo + (long) d * L;
            IntVector b0 = (IntVector)
                    ByteVector.fromMemorySegment(B, x, p, LITTLE_ENDIAN).convertShape(B2I, I, 0);
            IntVector b1 = (IntVector)
                    ByteVector.fromMemorySegment(B, x, p + L, LITTLE_ENDIAN).convertShape(B2I, I, 0);
            FloatVector x0 = (FloatVector) b0.and(0xf).convert(I2F, 0);
            FloatVector x1 = (FloatVector) b1.and(0xf).convert(I2F, 0);
            FloatVector y0 = (FloatVector) b0.and(0xf0).convert(I2F, 0);
            FloatVector y1 = (FloatVector) b1.and(0xf0).convert(I2F, 0);
            FloatVector v = FloatVector.broadcast(F, m[q + d]);
            s0 = x0.fma(v, s0);
            t0 = x1.fma(v, t0);
            v = FloatVector.broadcast(F, m[q + d + 1]);
            s0 = y0.fma(v, s0);
            t0 = y1.fma(v, t0);
            v = FloatVector.broadcast(F, m[q1 + d]);
            s1 = x0.fma(v, s1);
            t1 = x1.fma(v, t1);
            v = FloatVector.broadcast(F, m[q1 + d + 1]);
            s1 = y0.fma(v, s1);
            t1 = y1.fma(v, t1);
            v = FloatVector.broadcast(F, m[q2 + d]);
            s2 = x0.fma(v, s2);
            t2 = x1.fma(v, t2);
            v = FloatVector.broadcast(F, m[q2 + d + 1]);
            s2 = y0.fma(v, s2);
            t2 = y1.fma(v, t2);
            v = FloatVector.broadcast(F, m[q3 + d]);
            s3 = x0.fma(v, s3);
            t3 = x1.fma(v, t3);
            v = FloatVector.broadcast(F, m[q3 + d + 1]);
            s3 = y0.fma(v, s3);
            t3 = y1.fma(v, t3);
        }
        FloatVector x0 = FloatVector.fromArray(F, m, scale);
        FloatVector x1 = FloatVector.fromArray(F, m, scale + L);
        FloatVector o0 = FloatVector.fromArray(F, m, scale + CodeLayout.SLOTS);
        FloatVector o1 = FloatVector.fromArray(F, m, scale + CodeLayout.SLOTS + L);
        FloatVector v = FloatVector.broadcast(F, m[sum]);
        s0.fma(x0, o0.fma(v, FloatVector.fromArray(F, m, s))).intoArray(m, s);
        t0.fma(x1, o1.fma(v, FloatVector.fromArray(F, m, s + L))).intoArray(m, s + L);
        v = FloatVector.broadcast(F, m[sum + ldq]);
        s1.fma(x0, o0.fma(v, FloatVector.fromArray(F, m, s + lds))).intoArray(m, s + lds);
        t1.fma(x1, o1.fma(v, FloatVector.fromArray(F, m, s + lds + L))).intoArray(m, s + lds + L);
        v = FloatVector.broadcast(F, m[sum + 2 * ldq]);
        s2.fma(x0, o0.fma(v, FloatVector.fromArray(F, m, s + 2 * lds))).intoArray(m, s + 2 * lds);
        t2.fma(x1, o1.fma(v, FloatVector.fromArray(F, m, s + 2 * lds + L))).intoArray(m, s + 2 * lds + L);
        v = FloatVector.broadcast(F, m[sum + 3 * ldq]);
        s3.fma(x0, o0.fma(v, FloatVector.fromArray(F, m, s + 3 * lds))).intoArray(m, s + 3 * lds);
        t3.fma(x1, o1.fma(v, FloatVector.fromArray(F, m, s + 3 * lds + L))).intoArray(m, s + 3 * lds + L);
    }

    private static void keys2(
            float[] m, int q, int ldq, MemorySegment x, long xo, int depth, int scale, int sum, int s, int lds) {
        int q1 = q + ldq;
        FloatVector s0 = FloatVector.zero(F);
        FloatVector t0 = s0;
        FloatVector s1 = FloatVector.zero(F);
        FloatVector t1 = s1;
        for (int d = 0; d < depth; d += 2) {
            long p = xo + (long) d * L;
            IntVector b0 = (IntVector)
                    ByteVector.fromMemorySegment(B, x, p, LITTLE_ENDIAN).convertShape(B2I, I, 0);
            IntVector b1 = (IntVector)
                    ByteVector.fromMemorySegment(B, x, p + L, LITTLE_ENDIAN).convertShape(B2I, I, 0);
            FloatVector x0 = (FloatVector) b0.and(0xf).convert(I2F, 0);
            FloatVector x1 = (FloatVector) b1.and(0xf).convert(I2F, 0);
            FloatVector y0 = (FloatVector) b0.and(0xf0).convert(I2F, 0);
            FloatVector y1 = (FloatVector) b1.and(0xf0).convert(I2F, 0);
            FloatVector v = FloatVector.broadcast(F, m[q + d]);
            s0 = x0.fma(v, s0);
            t0 = x1.fma(v, t0);
            v = FloatVector.broadcast(F, m[q + d + 1]);
            s0 = y0.fma(v, s0);
            t0 = y1.fma(v, t0);
            v = FloatVector.broadcast(F, m[q1 + d]);
            s1 = x0.fma(v, s1);
            t1 = x1.fma(v, t1);
            v = FloatVector.broadcast(F, m[q1 + d + 1]);
            s1 = y0.fma(v, s1);
            t1 = y1.fma(v, t1);
        }
        FloatVector x0 = FloatVector.fromArray(F, m, scale);
        FloatVector x1 = FloatVector.fromArray(F, m, scale + L);
        FloatVector o0 = FloatVector.fromArray(F, m, scale + CodeLayout.SLOTS);
        FloatVector o1 = FloatVector.fromArray(F, m, scale + CodeLayout.SLOTS + L);
        FloatVector v = FloatVector.broadcast(F, m[sum]);
        s0.fma(x0, o0.fma(v, FloatVector.fromArray(F, m, s))).intoArray(m, s);
        t0.fma(x1, o1.fma(v, FloatVector.fromArray(F, m, s + L))).intoArray(m, s + L);
        v = FloatVector.broadcast(F, m[sum + ldq]);
        s1.fma(x0, o0.fma(v, FloatVector.fromArray(F, m, s + lds))).intoArray(m, s + lds);
        t1.fma(x1, o1.fma(v, FloatVector.fromArray(F, m, s + lds + L))).intoArray(m, s + lds + L);
    }

    private static void keys1(float[] m, int q, MemorySegment x, long xo, int depth, int scale, int sum, int s) {
        FloatVector s0 = FloatVector.zero(F);
        FloatVector t0 = s0;
        for (int d = 0; d < depth; d += 2) {
            long p = xo + (long) d * L;
            IntVector b0 = (IntVector)
                    ByteVector.fromMemorySegment(B, x, p, LITTLE_ENDIAN).convertShape(B2I, I, 0);
            IntVector b1 = (IntVector)
                    ByteVector.fromMemorySegment(B, x, p + L, LITTLE_ENDIAN).convertShape(B2I, I, 0);
            FloatVector x0 = (FloatVector) b0.and(0xf).convert(I2F, 0);
            FloatVector x1 = (FloatVector) b1.and(0xf).convert(I2F, 0);
            FloatVector y0 = (FloatVector) b0.and(0xf0).convert(I2F, 0);
            FloatVector y1 = (FloatVector) b1.and(0xf0).convert(I2F, 0);
            FloatVector v = FloatVector.broadcast(F, m[q + d]);
            s0 = x0.fma(v, s0);
            t0 = x1.fma(v, t0);
            v = FloatVector.broadcast(F, m[q + d + 1]);
            s0 = y0.fma(v, s0);
            t0 = y1.fma(v, t0);
        }
        FloatVector x0 = FloatVector.fromArray(F, m, scale);
        FloatVector x1 = FloatVector.fromArray(F, m, scale + L);
        FloatVector o0 = FloatVector.fromArray(F, m, scale + CodeLayout.SLOTS);
        FloatVector o1 = FloatVector.fromArray(F, m, scale + CodeLayout.SLOTS + L);
        FloatVector v = FloatVector.broadcast(F, m[sum]);
        s0.fma(x0, o0.fma(v, FloatVector.fromArray(F, m, s))).intoArray(m, s);
        t0.fma(x1, o1.fma(v, FloatVector.fromArray(F, m, s + L))).intoArray(m, s + L);
    }

    /**
     * {@code o[row][i] += sum over slots of w[row][slot] * code[slot][i] + start[row]} for a panel of dimensions.
     *
     * @param m scratch that holds everything but the codes, at offsets
     * @param w probabilities times scales, rows {@code ldw} apart
     * @param x codes from byte {@code xo}
     * @param count slots
     * @param start sum of probabilities times offsets, {@code ldw} apart
     * @param o sums of values, rows {@code ldo} apart
     */
    static void values(
            int rows, float[] m, int w, int ldw, MemorySegment x, long xo, int count, int start, int o, int ldo) {
        int i = 0;
        for (; i + 4 <= rows; i += 4) {
            values4(m, w + i * ldw, ldw, x, xo, count, start + i * ldw, o + i * ldo, ldo);
        }
        if (i + 2 <= rows) {
            values2(m, w + i * ldw, ldw, x, xo, count, start + i * ldw, o + i * ldo, ldo);
            i += 2;
        }
        if (i < rows) {
            values1(m, w + i * ldw, x, xo, count, start + i * ldw, o + i * ldo);
        }
    }

    private static void values4(
            float[] m, int w, int ldw, MemorySegment x, long xo, int count, int start, int o, int ldo) {
        int w1 = w + ldw;
        int w2 = w1 + ldw;
        int w3 = w2 + ldw;
        FloatVector s0 = FloatVector.fromArray(F, m, o).add(m[start]);
        FloatVector t0 = FloatVector.fromArray(F, m, o + L).add(m[start]).mul(16f);
        FloatVector s1 = FloatVector.fromArray(F, m, o + ldo).add(m[start + ldw]);
        FloatVector t1 = FloatVector.fromArray(F, m, o + ldo + L).add(m[start + ldw]).mul(16f);
        FloatVector s2 = FloatVector.fromArray(F, m, o + 2 * ldo).add(m[start + 2 * ldw]);
        FloatVector t2 = FloatVector.fromArray(F, m, o + 2 * ldo + L).add(m[start + 2 * ldw]).mul(16f);
        FloatVector s3 = FloatVector.fromArray(F, m, o + 3 * ldo).add(m[start + 3 * ldw]);
        FloatVector t3 = FloatVector.fromArray(F, m, o + 3 * ldo + L).add(m[start + 3 * ldw]).mul(16f);
        for (int j = 0; j < count; j++) {
            IntVector b = (IntVector) ByteVector.fromMemorySegment(B, x, xo + (long) j * L, LITTLE_ENDIAN)
                    .convertShape(B2I, I, 0);
            FloatVector x0 = (FloatVector) b.and(0xf).convert(I2F, 0);
            FloatVector x1 = (FloatVector) b.and(0xf0).convert(I2F, 0);
            FloatVector v = FloatVector.broadcast(F, m[w + j]);
            s0 = x0.fma(v, s0);
            t0 = x1.fma(v, t0);
            v = FloatVector.broadcast(F, m[w1 + j]);
            s1 = x0.fma(v, s1);
            t1 = x1.fma(v, t1);
            v = FloatVector.broadcast(F, m[w2 + j]);
            s2 = x0.fma(v, s2);
            t2 = x1.fma(v, t2);
            v = FloatVector.broadcast(F, m[w3 + j]);
            s3 = x0.fma(v, s3);
            t3 = x1.fma(v, t3);
        }
        s0.intoArray(m, o);
        t0.mul(ODD).intoArray(m, o + L);
        s1.intoArray(m, o + ldo);
        t1.mul(ODD).intoArray(m, o + ldo + L);
        s2.intoArray(m, o + 2 * ldo);
        t2.mul(ODD).intoArray(m, o + 2 * ldo + L);
        s3.intoArray(m, o + 3 * ldo);
        t3.mul(ODD).intoArray(m, o + 3 * ldo + L);
    }

    private static void values2(
            float[] m, int w, int ldw, MemorySegment x, long xo, int count, int start, int o, int ldo) {
        int w1 = w + ldw;
        FloatVector s0 = FloatVector.fromArray(F, m, o).add(m[start]);
        FloatVector t0 = FloatVector.fromArray(F, m, o + L).add(m[start]).mul(16f);
        FloatVector s1 = FloatVector.fromArray(F, m, o + ldo).add(m[start + ldw]);
        FloatVector t1 = FloatVector.fromArray(F, m, o + ldo + L).add(m[start + ldw]).mul(16f);
        for (int j = 0; j < count; j++) {
            IntVector b = (IntVector) ByteVector.fromMemorySegment(B, x, xo + (long) j * L, LITTLE_ENDIAN)
                    .convertShape(B2I, I, 0);
            FloatVector x0 = (FloatVector) b.and(0xf).convert(I2F, 0);
            FloatVector x1 = (FloatVector) b.and(0xf0).convert(I2F, 0);
            FloatVector v = FloatVector.broadcast(F, m[w + j]);
            s0 = x0.fma(v, s0);
            t0 = x1.fma(v, t0);
            v = FloatVector.broadcast(F, m[w1 + j]);
            s1 = x0.fma(v, s1);
            t1 = x1.fma(v, t1);
        }
        s0.intoArray(m, o);
        t0.mul(ODD).intoArray(m, o + L);
        s1.intoArray(m, o + ldo);
        t1.mul(ODD).intoArray(m, o + ldo + L);
    }

    private static void values1(float[] m, int w, MemorySegment x, long xo, int count, int start, int o) {
        FloatVector s0 = FloatVector.fromArray(F, m, o).add(m[start]);
        FloatVector t0 = FloatVector.fromArray(F, m, o + L).add(m[start]).mul(16f);
        for (int j = 0; j < count; j++) {
            IntVector b = (IntVector) ByteVector.fromMemorySegment(B, x, xo + (long) j * L, LITTLE_ENDIAN)
                    .convertShape(B2I, I, 0);
            FloatVector x0 = (FloatVector) b.and(0xf).convert(I2F, 0);
            FloatVector x1 = (FloatVector) b.and(0xf0).convert(I2F, 0);
            FloatVector v = FloatVector.broadcast(F, m[w + j]);
            s0 = x0.fma(v, s0);
            t0 = x1.fma(v, t0);
        }
        s0.intoArray(m, o);
        t0.mul(ODD).intoArray(m, o + L);
    }
}
