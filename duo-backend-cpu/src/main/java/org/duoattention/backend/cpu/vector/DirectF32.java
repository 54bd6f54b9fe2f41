package org.duoattention.backend.cpu.vector;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static org.duoattention.backend.cpu.vector.Attention.BLOCK;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.L;
import static org.duoattention.backend.cpu.vector.Simd.PANEL;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/**
 * The products of attention of {@link DirectProducts} for elements of 32 bits, for one, two or four rows.
 * Strides within scratch are constants, so that a row is a displacement and not a register.
 */
final class DirectF32 {
    private DirectF32() {}

    /**
     * {@code s[row][slot] = start[row] + sum over d of q[d][row] * x[d][slot]} for a panel of slots.
     *
     * @param rows 1, 2 or 4
     * @param m scratch that holds everything but the keys, at offsets
     * @param q queries {@code [depth][rows]}
     * @param x keys {@code [depth][PANEL]} from byte {@code xo}
     * @param start what products start at, {@code [rows]}
     * @param s products, rows {@link Attention#BLOCK} apart
     */
    static void keys(int rows, float[] m, int q, MemorySegment x, long xo, int depth, int start, int s) {
        switch (rows) {
            case 1 -> keys1(m, q, x, xo, depth, start, s);
            case 2 -> keys2(m, q, x, xo, depth, start, s);
            default -> keys4(m, q, x, xo, depth, start, s);
        }
    }

    private static void keys1(float[] m, int q, MemorySegment x, long xo, int depth, int start, int s) {
        FloatVector s0 = FloatVector.broadcast(F, m[start]);
        FloatVector t0 = s0;
        for (int d = 0; d < depth; d++) {
            long b = xo + (long) d * (4 * PANEL);
            FloatVector x0 = FloatVector.fromMemorySegment(F, x, b, LITTLE_ENDIAN);
            FloatVector x1 = FloatVector.fromMemorySegment(F, x, b + 4L * L, LITTLE_ENDIAN);
            FloatVector v = FloatVector.broadcast(F, m[q + d]);
            s0 = x0.fma(v, s0);
            t0 = x1.fma(v, t0);
        }
        s0.intoArray(m, s);
        t0.intoArray(m, s + L);
    }

    private static void keys2(float[] m, int q, MemorySegment x, long xo, int depth, int start, int s) {
        FloatVector s0 = FloatVector.broadcast(F, m[start]);
        FloatVector t0 = s0;
        FloatVector s1 = FloatVector.broadcast(F, m[start + 1]);
        FloatVector t1 = s1;
        for (int d = 0; d < depth; d++) {
            long b = xo + (long) d * (4 * PANEL);
            FloatVector x0 = FloatVector.fromMemorySegment(F, x, b, LITTLE_ENDIAN);
            FloatVector x1 = FloatVector.fromMemorySegment(F, x, b + 4L * L, LITTLE_ENDIAN);
            FloatVector v = FloatVector.broadcast(F, m[q + d * 2]);
            s0 = x0.fma(v, s0);
            t0 = x1.fma(v, t0);
            v = FloatVector.broadcast(F, m[q + d * 2 + 1]);
            s1 = x0.fma(v, s1);
            t1 = x1.fma(v, t1);
        }
        s0.intoArray(m, s);
        t0.intoArray(m, s + L);
        s1.intoArray(m, s + BLOCK);
        t1.intoArray(m, s + BLOCK + L);
    }

    private static void keys4(float[] m, int q, MemorySegment x, long xo, int depth, int start, int s) {
        FloatVector s0 = FloatVector.broadcast(F, m[start]);
        FloatVector t0 = s0;
        FloatVector s1 = FloatVector.broadcast(F, m[start + 1]);
        FloatVector t1 = s1;
        FloatVector s2 = FloatVector.broadcast(F, m[start + 2]);
        FloatVector t2 = s2;
        FloatVector s3 = FloatVector.broadcast(F, m[start + 3]);
        FloatVector t3 = s3;
        for (int d = 0; d < depth; d++) {
            long b = xo + (long) d * (4 * PANEL);
            FloatVector x0 = FloatVector.fromMemorySegment(F, x, b, LITTLE_ENDIAN);
            FloatVector x1 = FloatVector.fromMemorySegment(F, x, b + 4L * L, LITTLE_ENDIAN);
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
        s0.intoArray(m, s);
        t0.intoArray(m, s + L);
        s1.intoArray(m, s + BLOCK);
        t1.intoArray(m, s + BLOCK + L);
        s2.intoArray(m, s + 2 * BLOCK);
        t2.intoArray(m, s + 2 * BLOCK + L);
        s3.intoArray(m, s + 3 * BLOCK);
        t3.intoArray(m, s + 3 * BLOCK + L);
    }

    /**
     * {@code o[row][i] += sum over slots of p[row][slot] * x[slot][i]} for a panel of dimensions.
     *
     * @param rows 1, 2 or 4
     * @param m scratch that holds everything but the values, at offsets
     * @param p probabilities, rows {@link Attention#BLOCK} apart
     * @param x values from byte {@code xo}, slots {@code ldx} bytes apart
     * @param o sums of values, rows {@code ldo} apart
     */
    static void values(int rows, float[] m, int p, MemorySegment x, long xo, int ldx, int count, int o, int ldo) {
        switch (rows) {
            case 1 -> values1(m, p, x, xo, ldx, count, o);
            case 2 -> values2(m, p, x, xo, ldx, count, o, ldo);
            default -> values4(m, p, x, xo, ldx, count, o, ldo);
        }
    }

    private static void values1(float[] m, int p, MemorySegment x, long xo, int ldx, int count, int o) {
        FloatVector s0 = FloatVector.fromArray(F, m, o);
        FloatVector t0 = FloatVector.fromArray(F, m, o + L);
        for (int j = 0; j < count; j++) {
            long b = xo + (long) j * ldx;
            FloatVector x0 = FloatVector.fromMemorySegment(F, x, b, LITTLE_ENDIAN);
            FloatVector x1 = FloatVector.fromMemorySegment(F, x, b + 4L * L, LITTLE_ENDIAN);
            FloatVector v = FloatVector.broadcast(F, m[p + j]);
            s0 = x0.fma(v, s0);
            t0 = x1.fma(v, t0);
        }
        s0.intoArray(m, o);
        t0.intoArray(m, o + L);
    }

    private static void values2(float[] m, int p, MemorySegment x, long xo, int ldx, int count, int o, int ldo) {
        FloatVector s0 = FloatVector.fromArray(F, m, o);
        FloatVector t0 = FloatVector.fromArray(F, m, o + L);
        FloatVector s1 = FloatVector.fromArray(F, m, o + ldo);
        FloatVector t1 = FloatVector.fromArray(F, m, o + ldo + L);
        for (int j = 0; j < count; j++) {
            long b = xo + (long) j * ldx;
            FloatVector x0 = FloatVector.fromMemorySegment(F, x, b, LITTLE_ENDIAN);
            FloatVector x1 = FloatVector.fromMemorySegment(F, x, b + 4L * L, LITTLE_ENDIAN);
            FloatVector v = FloatVector.broadcast(F, m[p + j]);
            s0 = x0.fma(v, s0);
            t0 = x1.fma(v, t0);
            v = FloatVector.broadcast(F, m[p + j + BLOCK]);
            s1 = x0.fma(v, s1);
            t1 = x1.fma(v, t1);
        }
        s0.intoArray(m, o);
        t0.intoArray(m, o + L);
        s1.intoArray(m, o + ldo);
        t1.intoArray(m, o + ldo + L);
    }

    private static void values4(float[] m, int p, MemorySegment x, long xo, int ldx, int count, int o, int ldo) {
        FloatVector s0 = FloatVector.fromArray(F, m, o);
        FloatVector t0 = FloatVector.fromArray(F, m, o + L);
        FloatVector s1 = FloatVector.fromArray(F, m, o + ldo);
        FloatVector t1 = FloatVector.fromArray(F, m, o + ldo + L);
        FloatVector s2 = FloatVector.fromArray(F, m, o + 2 * ldo);
        FloatVector t2 = FloatVector.fromArray(F, m, o + 2 * ldo + L);
        FloatVector s3 = FloatVector.fromArray(F, m, o + 3 * ldo);
        FloatVector t3 = FloatVector.fromArray(F, m, o + 3 * ldo + L);
        for (int j = 0; j < count; j++) {
            long b = xo + (long) j * ldx;
            FloatVector x0 = FloatVector.fromMemorySegment(F, x, b, LITTLE_ENDIAN);
            FloatVector x1 = FloatVector.fromMemorySegment(F, x, b + 4L * L, LITTLE_ENDIAN);
            FloatVector v = FloatVector.broadcast(F, m[p + j]);
            s0 = x0.fma(v, s0);
            t0 = x1.fma(v, t0);
            v = FloatVector.broadcast(F, m[p + j + BLOCK]);
            s1 = x0.fma(v, s1);
            t1 = x1.fma(v, t1);
            v = FloatVector.broadcast(F, m[p + j + 2 * BLOCK]);
            s2 = x0.fma(v, s2);
            t2 = x1.fma(v, t2);
            v = FloatVector.broadcast(F, m[p + j + 3 * BLOCK]);
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
