package org.duoattention.backend.cpu.vector;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static jdk.incubator.vector.VectorOperators.B2F;
import static org.duoattention.backend.cpu.vector.Attention.BLOCK;
import static org.duoattention.backend.cpu.vector.CodedProducts.WEIGHTS;
import static org.duoattention.backend.cpu.vector.Simd.B;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.L;
import static org.duoattention.backend.cpu.vector.Simd.PANEL;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;

/**
 * The products of attention of {@link DirectProducts} for 8-bit codes as {@link CodeLayout} has them, for one, two or four rows. Scales and offsets are applied outside the loops.
 * Strides within scratch are constants, so that a row is a displacement and not a register.
 */
final class DirectInt8 {
    private DirectInt8() {}

    /**
     * {@code s[row][slot] += scale[slot] * (sum over d of q[d][row] * code[d][slot]) + offset[slot] * sum[row]} for a panel of
     * slots and a group of dimensions.
     *
     * @param rows 1, 2 or 4
     * @param m scratch that holds everything but the codes, at offsets
     * @param q queries of the group {@code [depth][rows]}
     * @param x codes from byte {@code xo}
     * @param scale scales of the panel; its offsets are {@link CodeLayout#SLOTS} floats further
     * @param sum sums of the rows' queries in the group, {@code [rows]}
     * @param s products, rows {@link Attention#BLOCK} apart
     */
    static void keys(int rows, float[] m, int q, MemorySegment x, long xo, int depth, int scale, int sum, int s) {
        switch (rows) {
            case 1 -> keys1(m, q, x, xo, depth, scale, sum, s);
            case 2 -> keys2(m, q, x, xo, depth, scale, sum, s);
            default -> keys4(m, q, x, xo, depth, scale, sum, s);
        }
    }

    private static void keys1(float[] m, int q, MemorySegment x, long xo, int depth, int scale, int sum, int s) {
        FloatVector s0 = FloatVector.zero(F);
        FloatVector t0 = s0;
        for (int d = 0; d < depth; d++) {
            long b = xo + (long) d * PANEL;
            FloatVector x0 = (FloatVector)
                    ByteVector.fromMemorySegment(B, x, b, LITTLE_ENDIAN).convertShape(B2F, F, 0);
            FloatVector x1 = (FloatVector)
                    ByteVector.fromMemorySegment(B, x, b + L, LITTLE_ENDIAN).convertShape(B2F, F, 0);
            FloatVector v = FloatVector.broadcast(F, m[q + d]);
            s0 = x0.fma(v, s0);
            t0 = x1.fma(v, t0);
        }
        FloatVector x0 = FloatVector.fromArray(F, m, scale);
        FloatVector x1 = FloatVector.fromArray(F, m, scale + L);
        FloatVector o0 = FloatVector.fromArray(F, m, scale + CodeLayout.SLOTS);
        FloatVector o1 = FloatVector.fromArray(F, m, scale + CodeLayout.SLOTS + L);
        FloatVector v = FloatVector.broadcast(F, m[sum]);
        s0.fma(x0, o0.fma(v, FloatVector.fromArray(F, m, s))).intoArray(m, s);
        t0.fma(x1, o1.fma(v, FloatVector.fromArray(F, m, s + L))).intoArray(m, s + L);
    }

    private static void keys2(float[] m, int q, MemorySegment x, long xo, int depth, int scale, int sum, int s) {
        FloatVector s0 = FloatVector.zero(F);
        FloatVector t0 = s0;
        FloatVector s1 = FloatVector.zero(F);
        FloatVector t1 = s1;
        for (int d = 0; d < depth; d++) {
            long b = xo + (long) d * PANEL;
            FloatVector x0 = (FloatVector)
                    ByteVector.fromMemorySegment(B, x, b, LITTLE_ENDIAN).convertShape(B2F, F, 0);
            FloatVector x1 = (FloatVector)
                    ByteVector.fromMemorySegment(B, x, b + L, LITTLE_ENDIAN).convertShape(B2F, F, 0);
            FloatVector v = FloatVector.broadcast(F, m[q + d * 2]);
            s0 = x0.fma(v, s0);
            t0 = x1.fma(v, t0);
            v = FloatVector.broadcast(F, m[q + d * 2 + 1]);
            s1 = x0.fma(v, s1);
            t1 = x1.fma(v, t1);
        }
        FloatVector x0 = FloatVector.fromArray(F, m, scale);
        FloatVector x1 = FloatVector.fromArray(F, m, scale + L);
        FloatVector o0 = FloatVector.fromArray(F, m, scale + CodeLayout.SLOTS);
        FloatVector o1 = FloatVector.fromArray(F, m, scale + CodeLayout.SLOTS + L);
        FloatVector v = FloatVector.broadcast(F, m[sum]);
        s0.fma(x0, o0.fma(v, FloatVector.fromArray(F, m, s))).intoArray(m, s);
        t0.fma(x1, o1.fma(v, FloatVector.fromArray(F, m, s + L))).intoArray(m, s + L);
        v = FloatVector.broadcast(F, m[sum + 1]);
        s1.fma(x0, o0.fma(v, FloatVector.fromArray(F, m, s + BLOCK))).intoArray(m, s + BLOCK);
        t1.fma(x1, o1.fma(v, FloatVector.fromArray(F, m, s + BLOCK + L))).intoArray(m, s + BLOCK + L);
    }

    private static void keys4(float[] m, int q, MemorySegment x, long xo, int depth, int scale, int sum, int s) {
        FloatVector s0 = FloatVector.zero(F);
        FloatVector t0 = s0;
        FloatVector s1 = FloatVector.zero(F);
        FloatVector t1 = s1;
        FloatVector s2 = FloatVector.zero(F);
        FloatVector t2 = s2;
        FloatVector s3 = FloatVector.zero(F);
        FloatVector t3 = s3;
        for (int d = 0; d < depth; d++) {
            long b = xo + (long) d * PANEL;
            FloatVector x0 = (FloatVector)
                    ByteVector.fromMemorySegment(B, x, b, LITTLE_ENDIAN).convertShape(B2F, F, 0);
            FloatVector x1 = (FloatVector)
                    ByteVector.fromMemorySegment(B, x, b + L, LITTLE_ENDIAN).convertShape(B2F, F, 0);
            FloatVector v = FloatVector.broadcast(F, m[q + d * 4]);
            s0 = x0.fma(v, s0);
            t0 = x1.fma(v, t0);
            v = FloatVector.broadcast(F, m[q + d * 4 + 1]);
            s1 = x0.fma(v, s1);
            t1 = x1.fma(v, t1);
            v = FloatVector.broadcast(F, m[q + d * 4 + 2]);
            s2 = x0.fma(v, s2);
            t2 = x1.fma(v, t2);
            v = FloatVector.broadcast(F, m[q + d * 4 + 3]);
            s3 = x0.fma(v, s3);
            t3 = x1.fma(v, t3);
        }
        FloatVector x0 = FloatVector.fromArray(F, m, scale);
        FloatVector x1 = FloatVector.fromArray(F, m, scale + L);
        FloatVector o0 = FloatVector.fromArray(F, m, scale + CodeLayout.SLOTS);
        FloatVector o1 = FloatVector.fromArray(F, m, scale + CodeLayout.SLOTS + L);
        FloatVector v = FloatVector.broadcast(F, m[sum]);
        s0.fma(x0, o0.fma(v, FloatVector.fromArray(F, m, s))).intoArray(m, s);
        t0.fma(x1, o1.fma(v, FloatVector.fromArray(F, m, s + L))).intoArray(m, s + L);
        v = FloatVector.broadcast(F, m[sum + 1]);
        s1.fma(x0, o0.fma(v, FloatVector.fromArray(F, m, s + BLOCK))).intoArray(m, s + BLOCK);
        t1.fma(x1, o1.fma(v, FloatVector.fromArray(F, m, s + BLOCK + L))).intoArray(m, s + BLOCK + L);
        v = FloatVector.broadcast(F, m[sum + 2]);
        s2.fma(x0, o0.fma(v, FloatVector.fromArray(F, m, s + 2 * BLOCK))).intoArray(m, s + 2 * BLOCK);
        t2.fma(x1, o1.fma(v, FloatVector.fromArray(F, m, s + 2 * BLOCK + L))).intoArray(m, s + 2 * BLOCK + L);
        v = FloatVector.broadcast(F, m[sum + 3]);
        s3.fma(x0, o0.fma(v, FloatVector.fromArray(F, m, s + 3 * BLOCK))).intoArray(m, s + 3 * BLOCK);
        t3.fma(x1, o1.fma(v, FloatVector.fromArray(F, m, s + 3 * BLOCK + L))).intoArray(m, s + 3 * BLOCK + L);
    }

    /**
     * {@code o[row][i] += sum over slots of w[row][slot] * code[slot][i] + start[row]} for a panel of dimensions.
     *
     * @param rows 1, 2 or 4
     * @param m scratch that holds everything but the codes, at offsets
     * @param w probabilities times scales, rows {@link CodedProducts#WEIGHTS} apart, each followed by the sum of
     *     probabilities times offsets
     * @param x codes from byte {@code xo}
     * @param count slots
     * @param o sums of values, rows {@code ldo} apart
     */
    static void values(int rows, float[] m, int w, MemorySegment x, long xo, int count, int o, int ldo) {
        switch (rows) {
            case 1 -> values1(m, w, x, xo, count, o);
            case 2 -> values2(m, w, x, xo, count, o, ldo);
            default -> values4(m, w, x, xo, count, o, ldo);
        }
    }

    private static void values1(float[] m, int w, MemorySegment x, long xo, int count, int o) {
        FloatVector s0 = FloatVector.fromArray(F, m, o).add(m[w + CodeLayout.SLOTS]);
        FloatVector t0 = FloatVector.fromArray(F, m, o + L).add(m[w + CodeLayout.SLOTS]);
        for (int j = 0; j < count; j++) {
            long b = xo + (long) j * PANEL;
            FloatVector x0 = (FloatVector)
                    ByteVector.fromMemorySegment(B, x, b, LITTLE_ENDIAN).convertShape(B2F, F, 0);
            FloatVector x1 = (FloatVector)
                    ByteVector.fromMemorySegment(B, x, b + L, LITTLE_ENDIAN).convertShape(B2F, F, 0);
            FloatVector v = FloatVector.broadcast(F, m[w + j]);
            s0 = x0.fma(v, s0);
            t0 = x1.fma(v, t0);
        }
        s0.intoArray(m, o);
        t0.intoArray(m, o + L);
    }

    private static void values2(float[] m, int w, MemorySegment x, long xo, int count, int o, int ldo) {
        FloatVector s0 = FloatVector.fromArray(F, m, o).add(m[w + CodeLayout.SLOTS]);
        FloatVector t0 = FloatVector.fromArray(F, m, o + L).add(m[w + CodeLayout.SLOTS]);
        FloatVector s1 = FloatVector.fromArray(F, m, o + ldo).add(m[w + CodeLayout.SLOTS + WEIGHTS]);
        FloatVector t1 = FloatVector.fromArray(F, m, o + ldo + L).add(m[w + CodeLayout.SLOTS + WEIGHTS]);
        for (int j = 0; j < count; j++) {
            long b = xo + (long) j * PANEL;
            FloatVector x0 = (FloatVector)
                    ByteVector.fromMemorySegment(B, x, b, LITTLE_ENDIAN).convertShape(B2F, F, 0);
            FloatVector x1 = (FloatVector)
                    ByteVector.fromMemorySegment(B, x, b + L, LITTLE_ENDIAN).convertShape(B2F, F, 0);
            FloatVector v = FloatVector.broadcast(F, m[w + j]);
            s0 = x0.fma(v, s0);
            t0 = x1.fma(v, t0);
            v = FloatVector.broadcast(F, m[w + j + WEIGHTS]);
            s1 = x0.fma(v, s1);
            t1 = x1.fma(v, t1);
        }
        s0.intoArray(m, o);
        t0.intoArray(m, o + L);
        s1.intoArray(m, o + ldo);
        t1.intoArray(m, o + ldo + L);
    }

    private static void values4(float[] m, int w, MemorySegment x, long xo, int count, int o, int ldo) {
        FloatVector s0 = FloatVector.fromArray(F, m, o).add(m[w + CodeLayout.SLOTS]);
        FloatVector t0 = FloatVector.fromArray(F, m, o + L).add(m[w + CodeLayout.SLOTS]);
        FloatVector s1 = FloatVector.fromArray(F, m, o + ldo).add(m[w + CodeLayout.SLOTS + WEIGHTS]);
        FloatVector t1 = FloatVector.fromArray(F, m, o + ldo + L).add(m[w + CodeLayout.SLOTS + WEIGHTS]);
        FloatVector s2 = FloatVector.fromArray(F, m, o + 2 * ldo).add(m[w + CodeLayout.SLOTS + 2 * WEIGHTS]);
        FloatVector t2 = FloatVector.fromArray(F, m, o + 2 * ldo + L).add(m[w + CodeLayout.SLOTS + 2 * WEIGHTS]);
        FloatVector s3 = FloatVector.fromArray(F, m, o + 3 * ldo).add(m[w + CodeLayout.SLOTS + 3 * WEIGHTS]);
        FloatVector t3 = FloatVector.fromArray(F, m, o + 3 * ldo + L).add(m[w + CodeLayout.SLOTS + 3 * WEIGHTS]);
        for (int j = 0; j < count; j++) {
            long b = xo + (long) j * PANEL;
            FloatVector x0 = (FloatVector)
                    ByteVector.fromMemorySegment(B, x, b, LITTLE_ENDIAN).convertShape(B2F, F, 0);
            FloatVector x1 = (FloatVector)
                    ByteVector.fromMemorySegment(B, x, b + L, LITTLE_ENDIAN).convertShape(B2F, F, 0);
            FloatVector v = FloatVector.broadcast(F, m[w + j]);
            s0 = x0.fma(v, s0);
            t0 = x1.fma(v, t0);
            v = FloatVector.broadcast(F, m[w + j + WEIGHTS]);
            s1 = x0.fma(v, s1);
            t1 = x1.fma(v, t1);
            v = FloatVector.broadcast(F, m[w + j + 2 * WEIGHTS]);
            s2 = x0.fma(v, s2);
            t2 = x1.fma(v, t2);
            v = FloatVector.broadcast(F, m[w + j + 3 * WEIGHTS]);
            s3 = x0.fma(v, s3);
            t3 = x1.fma(v, t3);
        }
        s0.intoArray(m, o);
        t0.intoArray(m, o + L);
        s1.intoArray(m, o + ldo);
        t1.intoArray(m, o + ldo + L);
        s2.intoArray(m, o + 2 * ldo);
        t2.intoArray(m, o + 2 * ldo + L);
        s3.intoArray(m, o + 3 * ldo);
        t3.intoArray(m, o + 3 * ldo + L);
    }
}
