package org.duoattention.backend.cpu.vector;

import static jdk.incubator.vector.VectorOperators.GT;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.L;
import static org.duoattention.backend.cpu.vector.Simd.PANEL;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/** The tile of six rows: 12 sums, which fit the 16 registers of AVX2 and NEON. */
final class Tile6 {
    /** Rows of the tile. */
    static final int ROWS = 6;

    private Tile6() {}

    /** See {@link Tile#products}. */
    static boolean products(float[] m, int q, int k, int dim, int start, int s) {
        FloatVector s0 = FloatVector.broadcast(F, m[start]);
        FloatVector t0 = s0;
        FloatVector s1 = FloatVector.broadcast(F, m[start + 1]);
        FloatVector t1 = s1;
        FloatVector s2 = FloatVector.broadcast(F, m[start + 2]);
        FloatVector t2 = s2;
        FloatVector s3 = FloatVector.broadcast(F, m[start + 3]);
        FloatVector t3 = s3;
        FloatVector s4 = FloatVector.broadcast(F, m[start + 4]);
        FloatVector t4 = s4;
        FloatVector s5 = FloatVector.broadcast(F, m[start + 5]);
        FloatVector t5 = s5;
        for (int d = 0; d < dim; d++) {
            int a = q + d * ROWS;
            int b = k + d * PANEL;
            FloatVector x = FloatVector.fromArray(F, m, b);
            FloatVector y = FloatVector.fromArray(F, m, b + L);
            FloatVector v = FloatVector.broadcast(F, m[a]);
            s0 = x.fma(v, s0);
            t0 = y.fma(v, t0);
            v = FloatVector.broadcast(F, m[a + 1]);
            s1 = x.fma(v, s1);
            t1 = y.fma(v, t1);
            v = FloatVector.broadcast(F, m[a + 2]);
            s2 = x.fma(v, s2);
            t2 = y.fma(v, t2);
            v = FloatVector.broadcast(F, m[a + 3]);
            s3 = x.fma(v, s3);
            t3 = y.fma(v, t3);
            v = FloatVector.broadcast(F, m[a + 4]);
            s4 = x.fma(v, s4);
            t4 = y.fma(v, t4);
            v = FloatVector.broadcast(F, m[a + 5]);
            s5 = x.fma(v, s5);
            t5 = y.fma(v, t5);
        }
        s0.intoArray(m, s);
        t0.intoArray(m, s + L);
        s1.intoArray(m, s + Tile.BLOCK);
        t1.intoArray(m, s + Tile.BLOCK + L);
        s2.intoArray(m, s + 2 * Tile.BLOCK);
        t2.intoArray(m, s + 2 * Tile.BLOCK + L);
        s3.intoArray(m, s + 3 * Tile.BLOCK);
        t3.intoArray(m, s + 3 * Tile.BLOCK + L);
        s4.intoArray(m, s + 4 * Tile.BLOCK);
        t4.intoArray(m, s + 4 * Tile.BLOCK + L);
        s5.intoArray(m, s + 5 * Tile.BLOCK);
        t5.intoArray(m, s + 5 * Tile.BLOCK + L);
        IntVector x = s0.reinterpretAsInts().max(t0.reinterpretAsInts());
        IntVector y = s1.reinterpretAsInts().max(t1.reinterpretAsInts());
        x = x.max(s2.reinterpretAsInts()).max(t2.reinterpretAsInts());
        y = y.max(s3.reinterpretAsInts()).max(t3.reinterpretAsInts());
        x = x.max(s4.reinterpretAsInts()).max(t4.reinterpretAsInts());
        y = y.max(s5.reinterpretAsInts()).max(t5.reinterpretAsInts());
        return x.max(y).compare(GT, Tile.HEADROOM_BITS).anyTrue();
    }

    /** See {@link Tile#values}. */
    static void values(float[] m, int s, int v, int count, int o) {
        FloatVector s0 = FloatVector.fromArray(F, m, o);
        FloatVector t0 = FloatVector.fromArray(F, m, o + L);
        FloatVector s1 = FloatVector.fromArray(F, m, o + PANEL);
        FloatVector t1 = FloatVector.fromArray(F, m, o + PANEL + L);
        FloatVector s2 = FloatVector.fromArray(F, m, o + 2 * PANEL);
        FloatVector t2 = FloatVector.fromArray(F, m, o + 2 * PANEL + L);
        FloatVector s3 = FloatVector.fromArray(F, m, o + 3 * PANEL);
        FloatVector t3 = FloatVector.fromArray(F, m, o + 3 * PANEL + L);
        FloatVector s4 = FloatVector.fromArray(F, m, o + 4 * PANEL);
        FloatVector t4 = FloatVector.fromArray(F, m, o + 4 * PANEL + L);
        FloatVector s5 = FloatVector.fromArray(F, m, o + 5 * PANEL);
        FloatVector t5 = FloatVector.fromArray(F, m, o + 5 * PANEL + L);
        for (int j = 0; j < count; j++) {
            int a = s + j;
            int b = v + j * PANEL;
            FloatVector x = FloatVector.fromArray(F, m, b);
            FloatVector y = FloatVector.fromArray(F, m, b + L);
            FloatVector p = FloatVector.broadcast(F, m[a]);
            s0 = x.fma(p, s0);
            t0 = y.fma(p, t0);
            p = FloatVector.broadcast(F, m[a + Tile.BLOCK]);
            s1 = x.fma(p, s1);
            t1 = y.fma(p, t1);
            p = FloatVector.broadcast(F, m[a + 2 * Tile.BLOCK]);
            s2 = x.fma(p, s2);
            t2 = y.fma(p, t2);
            p = FloatVector.broadcast(F, m[a + 3 * Tile.BLOCK]);
            s3 = x.fma(p, s3);
            t3 = y.fma(p, t3);
            p = FloatVector.broadcast(F, m[a + 4 * Tile.BLOCK]);
            s4 = x.fma(p, s4);
            t4 = y.fma(p, t4);
            p = FloatVector.broadcast(F, m[a + 5 * Tile.BLOCK]);
            s5 = x.fma(p, s5);
            t5 = y.fma(p, t5);
        }
        s0.intoArray(m, o);
        t0.intoArray(m, o + L);
        s1.intoArray(m, o + PANEL);
        t1.intoArray(m, o + PANEL + L);
        s2.intoArray(m, o + 2 * PANEL);
        t2.intoArray(m, o + 2 * PANEL + L);
        s3.intoArray(m, o + 3 * PANEL);
        t3.intoArray(m, o + 3 * PANEL + L);
        s4.intoArray(m, o + 4 * PANEL);
        t4.intoArray(m, o + 4 * PANEL + L);
        s5.intoArray(m, o + 5 * PANEL);
        t5.intoArray(m, o + 5 * PANEL + L);
    }
}
