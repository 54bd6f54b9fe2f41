package org.duoattention.backend.cpu.vector;

import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.L;

import jdk.incubator.vector.FloatVector;

/**
 * The innermost loop of every matrix product here: {@code c[i][0..PANEL) += sum over k of a[i][k] * x[k][0..PANEL)}, one
 * panel of two vectors wide. Elements of {@code a} are broadcast; rows of {@code a}, {@code x} and {@code c} are {@code
 * lda}, {@code ldx} and {@code ldc} apart.
 *
 * <p>The heap is used for scratch on purpose: the same loops over memory segments reached 0.85 of this speed. Six rows by
 * two vectors keep 12 accumulators, which hide the latency of the multiply-add and fit the 16 registers of AVX2. Loads and
 * stores of the accumulators are written out, because a helper that takes vectors is not always inlined, and then
 * allocates them.
 */
final class MicroKernel {
    /** Most rows that share one pass over {@code x}. */
    static final int ROWS = 6;

    private MicroKernel() {}

    /** Any number of rows, in groups of {@link #ROWS}, then fewer. */
    static void rows(
            int rows, float[] a, int ao, int lda, float[] x, int xo, int ldx, float[] c, int co, int ldc, int kc) {
        int i = 0;
        for (; i + 6 <= rows; i += 6) {
            six(a, ao + i * lda, lda, x, xo, ldx, c, co + i * ldc, ldc, kc);
        }
        if (i + 4 <= rows) {
            four(a, ao + i * lda, lda, x, xo, ldx, c, co + i * ldc, ldc, kc);
            i += 4;
        }
        if (i + 2 <= rows) {
            two(a, ao + i * lda, lda, x, xo, ldx, c, co + i * ldc, ldc, kc);
            i += 2;
        }
        if (i < rows) {
            one(a, ao + i * lda, x, xo, ldx, c, co + i * ldc, kc);
        }
    }

    private static void six(
            float[] a, int ao, int lda, float[] x, int xo, int ldx, float[] c, int co, int ldc, int kc) {
        int a1 = ao + lda;
        int a2 = a1 + lda;
        int a3 = a2 + lda;
        int a4 = a3 + lda;
        int a5 = a4 + lda;
        int c1 = co + ldc;
        int c2 = c1 + ldc;
        int c3 = c2 + ldc;
        int c4 = c3 + ldc;
        int c5 = c4 + ldc;
        FloatVector s0 = FloatVector.fromArray(F, c, co);
        FloatVector t0 = FloatVector.fromArray(F, c, co + L);
        FloatVector s1 = FloatVector.fromArray(F, c, c1);
        FloatVector t1 = FloatVector.fromArray(F, c, c1 + L);
        FloatVector s2 = FloatVector.fromArray(F, c, c2);
        FloatVector t2 = FloatVector.fromArray(F, c, c2 + L);
        FloatVector s3 = FloatVector.fromArray(F, c, c3);
        FloatVector t3 = FloatVector.fromArray(F, c, c3 + L);
        FloatVector s4 = FloatVector.fromArray(F, c, c4);
        FloatVector t4 = FloatVector.fromArray(F, c, c4 + L);
        FloatVector s5 = FloatVector.fromArray(F, c, c5);
        FloatVector t5 = FloatVector.fromArray(F, c, c5 + L);
        int p = xo;
        for (int k = 0; k < kc; k++, p += ldx) {
            FloatVector x0 = FloatVector.fromArray(F, x, p);
            FloatVector x1 = FloatVector.fromArray(F, x, p + L);
            FloatVector v = FloatVector.broadcast(F, a[ao + k]);
            s0 = x0.fma(v, s0);
            t0 = x1.fma(v, t0);
            v = FloatVector.broadcast(F, a[a1 + k]);
            s1 = x0.fma(v, s1);
            t1 = x1.fma(v, t1);
            v = FloatVector.broadcast(F, a[a2 + k]);
            s2 = x0.fma(v, s2);
            t2 = x1.fma(v, t2);
            v = FloatVector.broadcast(F, a[a3 + k]);
            s3 = x0.fma(v, s3);
            t3 = x1.fma(v, t3);
            v = FloatVector.broadcast(F, a[a4 + k]);
            s4 = x0.fma(v, s4);
            t4 = x1.fma(v, t4);
            v = FloatVector.broadcast(F, a[a5 + k]);
            s5 = x0.fma(v, s5);
            t5 = x1.fma(v, t5);
        }
        s0.intoArray(c, co);
        t0.intoArray(c, co + L);
        s1.intoArray(c, c1);
        t1.intoArray(c, c1 + L);
        s2.intoArray(c, c2);
        t2.intoArray(c, c2 + L);
        s3.intoArray(c, c3);
        t3.intoArray(c, c3 + L);
        s4.intoArray(c, c4);
        t4.intoArray(c, c4 + L);
        s5.intoArray(c, c5);
        t5.intoArray(c, c5 + L);
    }

    private static void four(
            float[] a, int ao, int lda, float[] x, int xo, int ldx, float[] c, int co, int ldc, int kc) {
        int a1 = ao + lda;
        int a2 = a1 + lda;
        int a3 = a2 + lda;
        int c1 = co + ldc;
        int c2 = c1 + ldc;
        int c3 = c2 + ldc;
        FloatVector s0 = FloatVector.fromArray(F, c, co);
        FloatVector t0 = FloatVector.fromArray(F, c, co + L);
        FloatVector s1 = FloatVector.fromArray(F, c, c1);
        FloatVector t1 = FloatVector.fromArray(F, c, c1 + L);
        FloatVector s2 = FloatVector.fromArray(F, c, c2);
        FloatVector t2 = FloatVector.fromArray(F, c, c2 + L);
        FloatVector s3 = FloatVector.fromArray(F, c, c3);
        FloatVector t3 = FloatVector.fromArray(F, c, c3 + L);
        int p = xo;
        for (int k = 0; k < kc; k++, p += ldx) {
            FloatVector x0 = FloatVector.fromArray(F, x, p);
            FloatVector x1 = FloatVector.fromArray(F, x, p + L);
            FloatVector v = FloatVector.broadcast(F, a[ao + k]);
            s0 = x0.fma(v, s0);
            t0 = x1.fma(v, t0);
            v = FloatVector.broadcast(F, a[a1 + k]);
            s1 = x0.fma(v, s1);
            t1 = x1.fma(v, t1);
            v = FloatVector.broadcast(F, a[a2 + k]);
            s2 = x0.fma(v, s2);
            t2 = x1.fma(v, t2);
            v = FloatVector.broadcast(F, a[a3 + k]);
            s3 = x0.fma(v, s3);
            t3 = x1.fma(v, t3);
        }
        s0.intoArray(c, co);
        t0.intoArray(c, co + L);
        s1.intoArray(c, c1);
        t1.intoArray(c, c1 + L);
        s2.intoArray(c, c2);
        t2.intoArray(c, c2 + L);
        s3.intoArray(c, c3);
        t3.intoArray(c, c3 + L);
    }

    private static void two(
            float[] a, int ao, int lda, float[] x, int xo, int ldx, float[] c, int co, int ldc, int kc) {
        int a1 = ao + lda;
        int c1 = co + ldc;
        FloatVector s0 = FloatVector.fromArray(F, c, co);
        FloatVector t0 = FloatVector.fromArray(F, c, co + L);
        FloatVector s1 = FloatVector.fromArray(F, c, c1);
        FloatVector t1 = FloatVector.fromArray(F, c, c1 + L);
        int p = xo;
        for (int k = 0; k < kc; k++, p += ldx) {
            FloatVector x0 = FloatVector.fromArray(F, x, p);
            FloatVector x1 = FloatVector.fromArray(F, x, p + L);
            FloatVector v = FloatVector.broadcast(F, a[ao + k]);
            s0 = x0.fma(v, s0);
            t0 = x1.fma(v, t0);
            v = FloatVector.broadcast(F, a[a1 + k]);
            s1 = x0.fma(v, s1);
            t1 = x1.fma(v, t1);
        }
        s0.intoArray(c, co);
        t0.intoArray(c, co + L);
        s1.intoArray(c, c1);
        t1.intoArray(c, c1 + L);
    }

    private static void one(float[] a, int ao, float[] x, int xo, int ldx, float[] c, int co, int kc) {
        FloatVector s0 = FloatVector.fromArray(F, c, co);
        FloatVector t0 = FloatVector.fromArray(F, c, co + L);
        int p = xo;
        for (int k = 0; k < kc; k++, p += ldx) {
            FloatVector x0 = FloatVector.fromArray(F, x, p);
            FloatVector x1 = FloatVector.fromArray(F, x, p + L);
            FloatVector v = FloatVector.broadcast(F, a[ao + k]);
            s0 = x0.fma(v, s0);
            t0 = x1.fma(v, t0);
        }
        s0.intoArray(c, co);
        t0.intoArray(c, co + L);
    }
}
