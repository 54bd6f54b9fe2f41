package org.duoattention.backend.cpu.vector;

import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.L;

import jdk.incubator.vector.FloatVector;

/**
 * As {@link MicroKernel} with the factor transposed: {@code c[i][0..PANEL) += sum over k of a[k][i] * x[k][0..PANEL)}. Rows of
 * {@code a}, {@code x} and {@code c} are {@code lda}, {@code ldx} and {@code ldc} apart.
 */
final class TransposedKernel {
    private TransposedKernel() {}

    /** {@code rows} rows of {@code c}, a multiple of 8. */
    static void rows(
            int rows, float[] a, int ao, int lda, float[] x, int xo, int ldx, float[] c, int co, int ldc, int kc) {
        if (L == 16) {
            for (int i = 0; i < rows; i += 8) {
                eight(a, ao + i, lda, x, xo, ldx, c, co + i * ldc, ldc, kc);
            }
        } else {
            for (int i = 0; i < rows; i += 4) {
                four(a, ao + i, lda, x, xo, ldx, c, co + i * ldc, ldc, kc);
            }
        }
    }

    private static void eight(
            float[] a, int ao, int lda, float[] x, int xo, int ldx, float[] c, int co, int ldc, int kc) {
        int c1 = co + ldc;
        int c2 = c1 + ldc;
        int c3 = c2 + ldc;
        int c4 = c3 + ldc;
        int c5 = c4 + ldc;
        int c6 = c5 + ldc;
        int c7 = c6 + ldc;
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
        FloatVector s6 = FloatVector.fromArray(F, c, c6);
        FloatVector t6 = FloatVector.fromArray(F, c, c6 + L);
        FloatVector s7 = FloatVector.fromArray(F, c, c7);
        FloatVector t7 = FloatVector.fromArray(F, c, c7 + L);
        int q = ao;
        int p = xo;
        for (int k = 0; k < kc; k++, p += ldx, q += lda) {
            FloatVector x0 = FloatVector.fromArray(F, x, p);
            FloatVector x1 = FloatVector.fromArray(F, x, p + L);
            FloatVector v = FloatVector.broadcast(F, a[q]);
            s0 = x0.fma(v, s0);
            t0 = x1.fma(v, t0);
            v = FloatVector.broadcast(F, a[q + 1]);
            s1 = x0.fma(v, s1);
            t1 = x1.fma(v, t1);
            v = FloatVector.broadcast(F, a[q + 2]);
            s2 = x0.fma(v, s2);
            t2 = x1.fma(v, t2);
            v = FloatVector.broadcast(F, a[q + 3]);
            s3 = x0.fma(v, s3);
            t3 = x1.fma(v, t3);
            v = FloatVector.broadcast(F, a[q + 4]);
            s4 = x0.fma(v, s4);
            t4 = x1.fma(v, t4);
            v = FloatVector.broadcast(F, a[q + 5]);
            s5 = x0.fma(v, s5);
            t5 = x1.fma(v, t5);
            v = FloatVector.broadcast(F, a[q + 6]);
            s6 = x0.fma(v, s6);
            t6 = x1.fma(v, t6);
            v = FloatVector.broadcast(F, a[q + 7]);
            s7 = x0.fma(v, s7);
            t7 = x1.fma(v, t7);
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
        s6.intoArray(c, c6);
        t6.intoArray(c, c6 + L);
        s7.intoArray(c, c7);
        t7.intoArray(c, c7 + L);
    }

    private static void four(
            float[] a, int ao, int lda, float[] x, int xo, int ldx, float[] c, int co, int ldc, int kc) {
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
        int q = ao;
        int p = xo;
        for (int k = 0; k < kc; k++, p += ldx, q += lda) {
            FloatVector x0 = FloatVector.fromArray(F, x, p);
            FloatVector x1 = FloatVector.fromArray(F, x, p + L);
            FloatVector v = FloatVector.broadcast(F, a[q]);
            s0 = x0.fma(v, s0);
            t0 = x1.fma(v, t0);
            v = FloatVector.broadcast(F, a[q + 1]);
            s1 = x0.fma(v, s1);
            t1 = x1.fma(v, t1);
            v = FloatVector.broadcast(F, a[q + 2]);
            s2 = x0.fma(v, s2);
            t2 = x1.fma(v, t2);
            v = FloatVector.broadcast(F, a[q + 3]);
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
}
