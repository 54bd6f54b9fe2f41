package org.duoattention.backend.cpu.vector;

import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.L;
import static org.duoattention.backend.cpu.vector.Simd.PANEL;

import jdk.incubator.vector.FloatVector;

/**
 * The innermost loop of {@link Gemm}: {@code c[t][0..PANEL) += sum over k of x[k][t] * w[k][0..PANEL)} for a few tokens.
 * All strides are constants, so that one register addresses each operand. Twelve tokens by two vectors keep 24
 * accumulators in the 32 registers of AVX-512, six keep 12 in the 16 of AVX2; fewer tokens are for the end of an input.
 * Accumulators are written out because a helper that takes vectors is not always inlined, and then allocates them.
 */
final class PanelKernel {
    /** Tokens of a full tile. */
    static final int TOKENS = L == 16 ? 12 : 6;

    private PanelKernel() {}

    /** Tokens that a tile for {@code left} tokens computes: at least as many, at most {@link #TOKENS}. */
    static int width(int left) {
        if (left >= TOKENS) {
            return TOKENS;
        }
        return left <= 4 ? 4 : left <= 6 && TOKENS == 6 ? 6 : left <= 8 ? 8 : 12;
    }

    /**
     * One tile.
     *
     * @param width tokens, from {@link #width}
     * @param x {@code [kc][width]} from {@code xo}
     * @param w {@code [kc][PANEL]} from {@code wo}
     * @param c {@code [width][PANEL]} from {@code co}
     */
    static void run(int width, float[] x, int xo, float[] w, int wo, float[] c, int co, int kc) {
        switch (width) {
            case 12 -> twelve(x, xo, w, wo, c, co, kc);
            case 8 -> eight(x, xo, w, wo, c, co, kc);
            case 6 -> six(x, xo, w, wo, c, co, kc);
            default -> four(x, xo, w, wo, c, co, kc);
        }
    }

    private static void twelve(float[] x, int xo, float[] w, int wo, float[] c, int co, int kc) {
        FloatVector s0 = FloatVector.fromArray(F, c, co);
        FloatVector t0 = FloatVector.fromArray(F, c, co + L);
        FloatVector s1 = FloatVector.fromArray(F, c, co + PANEL);
        FloatVector t1 = FloatVector.fromArray(F, c, co + PANEL + L);
        FloatVector s2 = FloatVector.fromArray(F, c, co + 2 * PANEL);
        FloatVector t2 = FloatVector.fromArray(F, c, co + 2 * PANEL + L);
        FloatVector s3 = FloatVector.fromArray(F, c, co + 3 * PANEL);
        FloatVector t3 = FloatVector.fromArray(F, c, co + 3 * PANEL + L);
        FloatVector s4 = FloatVector.fromArray(F, c, co + 4 * PANEL);
        FloatVector t4 = FloatVector.fromArray(F, c, co + 4 * PANEL + L);
        FloatVector s5 = FloatVector.fromArray(F, c, co + 5 * PANEL);
        FloatVector t5 = FloatVector.fromArray(F, c, co + 5 * PANEL + L);
        FloatVector s6 = FloatVector.fromArray(F, c, co + 6 * PANEL);
        FloatVector t6 = FloatVector.fromArray(F, c, co + 6 * PANEL + L);
        FloatVector s7 = FloatVector.fromArray(F, c, co + 7 * PANEL);
        FloatVector t7 = FloatVector.fromArray(F, c, co + 7 * PANEL + L);
        FloatVector s8 = FloatVector.fromArray(F, c, co + 8 * PANEL);
        FloatVector t8 = FloatVector.fromArray(F, c, co + 8 * PANEL + L);
        FloatVector s9 = FloatVector.fromArray(F, c, co + 9 * PANEL);
        FloatVector t9 = FloatVector.fromArray(F, c, co + 9 * PANEL + L);
        FloatVector s10 = FloatVector.fromArray(F, c, co + 10 * PANEL);
        FloatVector t10 = FloatVector.fromArray(F, c, co + 10 * PANEL + L);
        FloatVector s11 = FloatVector.fromArray(F, c, co + 11 * PANEL);
        FloatVector t11 = FloatVector.fromArray(F, c, co + 11 * PANEL + L);
        for (int k = 0; k < kc; k++) {
            int a = xo + k * 12;
            int b = wo + k * PANEL;
            FloatVector w0 = FloatVector.fromArray(F, w, b);
            FloatVector w1 = FloatVector.fromArray(F, w, b + L);
            FloatVector v = FloatVector.broadcast(F, x[a]);
            s0 = w0.fma(v, s0);
            t0 = w1.fma(v, t0);
            v = FloatVector.broadcast(F, x[a + 1]);
            s1 = w0.fma(v, s1);
            t1 = w1.fma(v, t1);
            v = FloatVector.broadcast(F, x[a + 2]);
            s2 = w0.fma(v, s2);
            t2 = w1.fma(v, t2);
            v = FloatVector.broadcast(F, x[a + 3]);
            s3 = w0.fma(v, s3);
            t3 = w1.fma(v, t3);
            v = FloatVector.broadcast(F, x[a + 4]);
            s4 = w0.fma(v, s4);
            t4 = w1.fma(v, t4);
            v = FloatVector.broadcast(F, x[a + 5]);
            s5 = w0.fma(v, s5);
            t5 = w1.fma(v, t5);
            v = FloatVector.broadcast(F, x[a + 6]);
            s6 = w0.fma(v, s6);
            t6 = w1.fma(v, t6);
            v = FloatVector.broadcast(F, x[a + 7]);
            s7 = w0.fma(v, s7);
            t7 = w1.fma(v, t7);
            v = FloatVector.broadcast(F, x[a + 8]);
            s8 = w0.fma(v, s8);
            t8 = w1.fma(v, t8);
            v = FloatVector.broadcast(F, x[a + 9]);
            s9 = w0.fma(v, s9);
            t9 = w1.fma(v, t9);
            v = FloatVector.broadcast(F, x[a + 10]);
            s10 = w0.fma(v, s10);
            t10 = w1.fma(v, t10);
            v = FloatVector.broadcast(F, x[a + 11]);
            s11 = w0.fma(v, s11);
            t11 = w1.fma(v, t11);
        }
        s0.intoArray(c, co);
        t0.intoArray(c, co + L);
        s1.intoArray(c, co + PANEL);
        t1.intoArray(c, co + PANEL + L);
        s2.intoArray(c, co + 2 * PANEL);
        t2.intoArray(c, co + 2 * PANEL + L);
        s3.intoArray(c, co + 3 * PANEL);
        t3.intoArray(c, co + 3 * PANEL + L);
        s4.intoArray(c, co + 4 * PANEL);
        t4.intoArray(c, co + 4 * PANEL + L);
        s5.intoArray(c, co + 5 * PANEL);
        t5.intoArray(c, co + 5 * PANEL + L);
        s6.intoArray(c, co + 6 * PANEL);
        t6.intoArray(c, co + 6 * PANEL + L);
        s7.intoArray(c, co + 7 * PANEL);
        t7.intoArray(c, co + 7 * PANEL + L);
        s8.intoArray(c, co + 8 * PANEL);
        t8.intoArray(c, co + 8 * PANEL + L);
        s9.intoArray(c, co + 9 * PANEL);
        t9.intoArray(c, co + 9 * PANEL + L);
        s10.intoArray(c, co + 10 * PANEL);
        t10.intoArray(c, co + 10 * PANEL + L);
        s11.intoArray(c, co + 11 * PANEL);
        t11.intoArray(c, co + 11 * PANEL + L);
    }

    private static void eight(float[] x, int xo, float[] w, int wo, float[] c, int co, int kc) {
        FloatVector s0 = FloatVector.fromArray(F, c, co);
        FloatVector t0 = FloatVector.fromArray(F, c, co + L);
        FloatVector s1 = FloatVector.fromArray(F, c, co + PANEL);
        FloatVector t1 = FloatVector.fromArray(F, c, co + PANEL + L);
        FloatVector s2 = FloatVector.fromArray(F, c, co + 2 * PANEL);
        FloatVector t2 = FloatVector.fromArray(F, c, co + 2 * PANEL + L);
        FloatVector s3 = FloatVector.fromArray(F, c, co + 3 * PANEL);
        FloatVector t3 = FloatVector.fromArray(F, c, co + 3 * PANEL + L);
        FloatVector s4 = FloatVector.fromArray(F, c, co + 4 * PANEL);
        FloatVector t4 = FloatVector.fromArray(F, c, co + 4 * PANEL + L);
        FloatVector s5 = FloatVector.fromArray(F, c, co + 5 * PANEL);
        FloatVector t5 = FloatVector.fromArray(F, c, co + 5 * PANEL + L);
        FloatVector s6 = FloatVector.fromArray(F, c, co + 6 * PANEL);
        FloatVector t6 = FloatVector.fromArray(F, c, co + 6 * PANEL + L);
        FloatVector s7 = FloatVector.fromArray(F, c, co + 7 * PANEL);
        FloatVector t7 = FloatVector.fromArray(F, c, co + 7 * PANEL + L);
        for (int k = 0; k < kc; k++) {
            int a = xo + k * 8;
            int b = wo + k * PANEL;
            FloatVector w0 = FloatVector.fromArray(F, w, b);
            FloatVector w1 = FloatVector.fromArray(F, w, b + L);
            FloatVector v = FloatVector.broadcast(F, x[a]);
            s0 = w0.fma(v, s0);
            t0 = w1.fma(v, t0);
            v = FloatVector.broadcast(F, x[a + 1]);
            s1 = w0.fma(v, s1);
            t1 = w1.fma(v, t1);
            v = FloatVector.broadcast(F, x[a + 2]);
            s2 = w0.fma(v, s2);
            t2 = w1.fma(v, t2);
            v = FloatVector.broadcast(F, x[a + 3]);
            s3 = w0.fma(v, s3);
            t3 = w1.fma(v, t3);
            v = FloatVector.broadcast(F, x[a + 4]);
            s4 = w0.fma(v, s4);
            t4 = w1.fma(v, t4);
            v = FloatVector.broadcast(F, x[a + 5]);
            s5 = w0.fma(v, s5);
            t5 = w1.fma(v, t5);
            v = FloatVector.broadcast(F, x[a + 6]);
            s6 = w0.fma(v, s6);
            t6 = w1.fma(v, t6);
            v = FloatVector.broadcast(F, x[a + 7]);
            s7 = w0.fma(v, s7);
            t7 = w1.fma(v, t7);
        }
        s0.intoArray(c, co);
        t0.intoArray(c, co + L);
        s1.intoArray(c, co + PANEL);
        t1.intoArray(c, co + PANEL + L);
        s2.intoArray(c, co + 2 * PANEL);
        t2.intoArray(c, co + 2 * PANEL + L);
        s3.intoArray(c, co + 3 * PANEL);
        t3.intoArray(c, co + 3 * PANEL + L);
        s4.intoArray(c, co + 4 * PANEL);
        t4.intoArray(c, co + 4 * PANEL + L);
        s5.intoArray(c, co + 5 * PANEL);
        t5.intoArray(c, co + 5 * PANEL + L);
        s6.intoArray(c, co + 6 * PANEL);
        t6.intoArray(c, co + 6 * PANEL + L);
        s7.intoArray(c, co + 7 * PANEL);
        t7.intoArray(c, co + 7 * PANEL + L);
    }

    private static void six(float[] x, int xo, float[] w, int wo, float[] c, int co, int kc) {
        FloatVector s0 = FloatVector.fromArray(F, c, co);
        FloatVector t0 = FloatVector.fromArray(F, c, co + L);
        FloatVector s1 = FloatVector.fromArray(F, c, co + PANEL);
        FloatVector t1 = FloatVector.fromArray(F, c, co + PANEL + L);
        FloatVector s2 = FloatVector.fromArray(F, c, co + 2 * PANEL);
        FloatVector t2 = FloatVector.fromArray(F, c, co + 2 * PANEL + L);
        FloatVector s3 = FloatVector.fromArray(F, c, co + 3 * PANEL);
        FloatVector t3 = FloatVector.fromArray(F, c, co + 3 * PANEL + L);
        FloatVector s4 = FloatVector.fromArray(F, c, co + 4 * PANEL);
        FloatVector t4 = FloatVector.fromArray(F, c, co + 4 * PANEL + L);
        FloatVector s5 = FloatVector.fromArray(F, c, co + 5 * PANEL);
        FloatVector t5 = FloatVector.fromArray(F, c, co + 5 * PANEL + L);
        for (int k = 0; k < kc; k++) {
            int a = xo + k * 6;
            int b = wo + k * PANEL;
            FloatVector w0 = FloatVector.fromArray(F, w, b);
            FloatVector w1 = FloatVector.fromArray(F, w, b + L);
            FloatVector v = FloatVector.broadcast(F, x[a]);
            s0 = w0.fma(v, s0);
            t0 = w1.fma(v, t0);
            v = FloatVector.broadcast(F, x[a + 1]);
            s1 = w0.fma(v, s1);
            t1 = w1.fma(v, t1);
            v = FloatVector.broadcast(F, x[a + 2]);
            s2 = w0.fma(v, s2);
            t2 = w1.fma(v, t2);
            v = FloatVector.broadcast(F, x[a + 3]);
            s3 = w0.fma(v, s3);
            t3 = w1.fma(v, t3);
            v = FloatVector.broadcast(F, x[a + 4]);
            s4 = w0.fma(v, s4);
            t4 = w1.fma(v, t4);
            v = FloatVector.broadcast(F, x[a + 5]);
            s5 = w0.fma(v, s5);
            t5 = w1.fma(v, t5);
        }
        s0.intoArray(c, co);
        t0.intoArray(c, co + L);
        s1.intoArray(c, co + PANEL);
        t1.intoArray(c, co + PANEL + L);
        s2.intoArray(c, co + 2 * PANEL);
        t2.intoArray(c, co + 2 * PANEL + L);
        s3.intoArray(c, co + 3 * PANEL);
        t3.intoArray(c, co + 3 * PANEL + L);
        s4.intoArray(c, co + 4 * PANEL);
        t4.intoArray(c, co + 4 * PANEL + L);
        s5.intoArray(c, co + 5 * PANEL);
        t5.intoArray(c, co + 5 * PANEL + L);
    }

    private static void four(float[] x, int xo, float[] w, int wo, float[] c, int co, int kc) {
        FloatVector s0 = FloatVector.fromArray(F, c, co);
        FloatVector t0 = FloatVector.fromArray(F, c, co + L);
        FloatVector s1 = FloatVector.fromArray(F, c, co + PANEL);
        FloatVector t1 = FloatVector.fromArray(F, c, co + PANEL + L);
        FloatVector s2 = FloatVector.fromArray(F, c, co + 2 * PANEL);
        FloatVector t2 = FloatVector.fromArray(F, c, co + 2 * PANEL + L);
        FloatVector s3 = FloatVector.fromArray(F, c, co + 3 * PANEL);
        FloatVector t3 = FloatVector.fromArray(F, c, co + 3 * PANEL + L);
        for (int k = 0; k < kc; k++) {
            int a = xo + k * 4;
            int b = wo + k * PANEL;
            FloatVector w0 = FloatVector.fromArray(F, w, b);
            FloatVector w1 = FloatVector.fromArray(F, w, b + L);
            FloatVector v = FloatVector.broadcast(F, x[a]);
            s0 = w0.fma(v, s0);
            t0 = w1.fma(v, t0);
            v = FloatVector.broadcast(F, x[a + 1]);
            s1 = w0.fma(v, s1);
            t1 = w1.fma(v, t1);
            v = FloatVector.broadcast(F, x[a + 2]);
            s2 = w0.fma(v, s2);
            t2 = w1.fma(v, t2);
            v = FloatVector.broadcast(F, x[a + 3]);
            s3 = w0.fma(v, s3);
            t3 = w1.fma(v, t3);
        }
        s0.intoArray(c, co);
        t0.intoArray(c, co + L);
        s1.intoArray(c, co + PANEL);
        t1.intoArray(c, co + PANEL + L);
        s2.intoArray(c, co + 2 * PANEL);
        t2.intoArray(c, co + 2 * PANEL + L);
        s3.intoArray(c, co + 3 * PANEL);
        t3.intoArray(c, co + 3 * PANEL + L);
    }
}
