package org.duoattention.backend.cpu.vector;

import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.L;
import static org.duoattention.backend.cpu.vector.Simd.PANEL;

import jdk.incubator.vector.FloatVector;

/**
 * The innermost loop of every matrix product here: {@code c[i][0..PANEL) (+)= sum over k of a[i][k] * x[k][0..PANEL)}, one
 * panel of two vectors wide. Rows of {@code a} are {@code lda} apart and broadcast element by element, {@code x} is packed,
 * rows of {@code c} are {@code ldc} apart.
 *
 * <p>The heap is used for scratch on purpose: the same loops over memory segments reached 0.85 of this speed. Six rows by two vectors keep
 * 12 accumulators, which hide the latency of the multiply-add and fit the 16 registers of AVX2.
 */
final class MicroKernel {
    /** Most rows of one call. */
    static final int ROWS = 6;

    private MicroKernel() {}

    /** Any number of rows, in groups of {@link #ROWS}, then fewer. */
    static void rows(
            int rows, float[] a, int ao, int lda, float[] x, int xo, float[] c, int co, int ldc, int kc, boolean add) {
        int i = 0;
        for (; i + 6 <= rows; i += 6) {
            six(a, ao + i * lda, lda, x, xo, c, co + i * ldc, ldc, kc, add);
        }
        if (i + 4 <= rows) {
            four(a, ao + i * lda, lda, x, xo, c, co + i * ldc, ldc, kc, add);
            i += 4;
        }
        if (i + 2 <= rows) {
            two(a, ao + i * lda, lda, x, xo, c, co + i * ldc, ldc, kc, add);
            i += 2;
        }
        if (i < rows) {
            one(a, ao + i * lda, x, xo, c, co + i * ldc, kc, add);
        }
    }

    private static void six(
            float[] a, int ao, int lda, float[] x, int xo, float[] c, int co, int ldc, int kc, boolean add) {
        FloatVector c00 = FloatVector.zero(F), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00;
        FloatVector c30 = c00, c31 = c00, c40 = c00, c41 = c00, c50 = c00, c51 = c00;
        int a1 = ao + lda;
        int a2 = a1 + lda;
        int a3 = a2 + lda;
        int a4 = a3 + lda;
        int a5 = a4 + lda;
        int p = xo;
        for (int k = 0; k < kc; k++, p += PANEL) {
            FloatVector x0 = FloatVector.fromArray(F, x, p);
            FloatVector x1 = FloatVector.fromArray(F, x, p + L);
            FloatVector t = FloatVector.broadcast(F, a[ao + k]);
            c00 = x0.fma(t, c00);
            c01 = x1.fma(t, c01);
            t = FloatVector.broadcast(F, a[a1 + k]);
            c10 = x0.fma(t, c10);
            c11 = x1.fma(t, c11);
            t = FloatVector.broadcast(F, a[a2 + k]);
            c20 = x0.fma(t, c20);
            c21 = x1.fma(t, c21);
            t = FloatVector.broadcast(F, a[a3 + k]);
            c30 = x0.fma(t, c30);
            c31 = x1.fma(t, c31);
            t = FloatVector.broadcast(F, a[a4 + k]);
            c40 = x0.fma(t, c40);
            c41 = x1.fma(t, c41);
            t = FloatVector.broadcast(F, a[a5 + k]);
            c50 = x0.fma(t, c50);
            c51 = x1.fma(t, c51);
        }
        store(c, co, c00, c01, add);
        store(c, co + ldc, c10, c11, add);
        store(c, co + 2 * ldc, c20, c21, add);
        store(c, co + 3 * ldc, c30, c31, add);
        store(c, co + 4 * ldc, c40, c41, add);
        store(c, co + 5 * ldc, c50, c51, add);
    }

    private static void four(
            float[] a, int ao, int lda, float[] x, int xo, float[] c, int co, int ldc, int kc, boolean add) {
        FloatVector c00 = FloatVector.zero(F), c01 = c00, c10 = c00, c11 = c00;
        FloatVector c20 = c00, c21 = c00, c30 = c00, c31 = c00;
        int a1 = ao + lda;
        int a2 = a1 + lda;
        int a3 = a2 + lda;
        int p = xo;
        for (int k = 0; k < kc; k++, p += PANEL) {
            FloatVector x0 = FloatVector.fromArray(F, x, p);
            FloatVector x1 = FloatVector.fromArray(F, x, p + L);
            FloatVector t = FloatVector.broadcast(F, a[ao + k]);
            c00 = x0.fma(t, c00);
            c01 = x1.fma(t, c01);
            t = FloatVector.broadcast(F, a[a1 + k]);
            c10 = x0.fma(t, c10);
            c11 = x1.fma(t, c11);
            t = FloatVector.broadcast(F, a[a2 + k]);
            c20 = x0.fma(t, c20);
            c21 = x1.fma(t, c21);
            t = FloatVector.broadcast(F, a[a3 + k]);
            c30 = x0.fma(t, c30);
            c31 = x1.fma(t, c31);
        }
        store(c, co, c00, c01, add);
        store(c, co + ldc, c10, c11, add);
        store(c, co + 2 * ldc, c20, c21, add);
        store(c, co + 3 * ldc, c30, c31, add);
    }

    private static void two(
            float[] a, int ao, int lda, float[] x, int xo, float[] c, int co, int ldc, int kc, boolean add) {
        FloatVector c00 = FloatVector.zero(F), c01 = c00, c10 = c00, c11 = c00;
        int a1 = ao + lda;
        int p = xo;
        for (int k = 0; k < kc; k++, p += PANEL) {
            FloatVector x0 = FloatVector.fromArray(F, x, p);
            FloatVector x1 = FloatVector.fromArray(F, x, p + L);
            FloatVector t = FloatVector.broadcast(F, a[ao + k]);
            c00 = x0.fma(t, c00);
            c01 = x1.fma(t, c01);
            t = FloatVector.broadcast(F, a[a1 + k]);
            c10 = x0.fma(t, c10);
            c11 = x1.fma(t, c11);
        }
        store(c, co, c00, c01, add);
        store(c, co + ldc, c10, c11, add);
    }

    private static void one(float[] a, int ao, float[] x, int xo, float[] c, int co, int kc, boolean add) {
        FloatVector c00 = FloatVector.zero(F), c01 = c00;
        int p = xo;
        for (int k = 0; k < kc; k++, p += PANEL) {
            FloatVector t = FloatVector.broadcast(F, a[ao + k]);
            c00 = FloatVector.fromArray(F, x, p).fma(t, c00);
            c01 = FloatVector.fromArray(F, x, p + L).fma(t, c01);
        }
        store(c, co, c00, c01, add);
    }

    private static void store(float[] c, int at, FloatVector v0, FloatVector v1, boolean add) {
        if (add) {
            v0.add(FloatVector.fromArray(F, c, at)).intoArray(c, at);
            v1.add(FloatVector.fromArray(F, c, at + L)).intoArray(c, at + L);
        } else {
            v0.intoArray(c, at);
            v1.intoArray(c, at + L);
        }
    }
}
