package org.duoattention.backend.cpu.vector;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.L;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/**
 * The product of {@link MicroKernel} with {@code x} read from memory as it is. For a few rows: widening costs arithmetic again for each group
 * of four rows, but runs while the next lines arrive, where widening a block first and multiplying it then take turns.
 */
final class DirectF32 {
    private DirectF32() {}

    /** Like {@link MicroKernel#rows}; row {@code k} of {@code x} is at byte {@code xo + k * ldx}. */
    static void rows(
            int rows,
            float[] a,
            int ao,
            int lda,
            MemorySegment x,
            long xo,
            int ldx,
            float[] c,
            int co,
            int ldc,
            int kc) {
        int i = 0;
        for (; i + 4 <= rows; i += 4) {
            four(a, ao + i * lda, lda, x, xo, ldx, c, co + i * ldc, ldc, kc);
        }
        if (i + 2 <= rows) {
            two(a, ao + i * lda, lda, x, xo, ldx, c, co + i * ldc, ldc, kc);
            i += 2;
        }
        if (i < rows) {
            one(a, ao + i * lda, x, xo, ldx, c, co + i * ldc, kc);
        }
    }

    private static void four(
            float[] a, int ao, int lda, MemorySegment x, long xo, int ldx, float[] c, int co, int ldc, int kc) {
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
        for (int k = 0; k < kc; k++) {
            long p = xo + (long) k * ldx;
            FloatVector x0 = FloatVector.fromMemorySegment(F, x, p, LITTLE_ENDIAN);
            FloatVector x1 = FloatVector.fromMemorySegment(F, x, p + 4L * L, LITTLE_ENDIAN);
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
            float[] a, int ao, int lda, MemorySegment x, long xo, int ldx, float[] c, int co, int ldc, int kc) {
        int a1 = ao + lda;
        int c1 = co + ldc;
        FloatVector s0 = FloatVector.fromArray(F, c, co);
        FloatVector t0 = FloatVector.fromArray(F, c, co + L);
        FloatVector s1 = FloatVector.fromArray(F, c, c1);
        FloatVector t1 = FloatVector.fromArray(F, c, c1 + L);
        for (int k = 0; k < kc; k++) {
            long p = xo + (long) k * ldx;
            FloatVector x0 = FloatVector.fromMemorySegment(F, x, p, LITTLE_ENDIAN);
            FloatVector x1 = FloatVector.fromMemorySegment(F, x, p + 4L * L, LITTLE_ENDIAN);
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

    private static void one(float[] a, int ao, MemorySegment x, long xo, int ldx, float[] c, int co, int kc) {
        FloatVector s0 = FloatVector.fromArray(F, c, co);
        FloatVector t0 = FloatVector.fromArray(F, c, co + L);
        for (int k = 0; k < kc; k++) {
            long p = xo + (long) k * ldx;
            FloatVector x0 = FloatVector.fromMemorySegment(F, x, p, LITTLE_ENDIAN);
            FloatVector x1 = FloatVector.fromMemorySegment(F, x, p + 4L * L, LITTLE_ENDIAN);
            FloatVector v = FloatVector.broadcast(F, a[ao + k]);
            s0 = x0.fma(v, s0);
            t0 = x1.fma(v, t0);
        }
        s0.intoArray(c, co);
        t0.intoArray(c, co + L);
    }
}
