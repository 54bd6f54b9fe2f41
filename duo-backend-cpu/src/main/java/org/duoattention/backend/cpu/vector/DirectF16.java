package org.duoattention.backend.cpu.vector;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.S2I;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.I;
import static org.duoattention.backend.cpu.vector.Simd.L;
import static org.duoattention.backend.cpu.vector.Simd.S;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;

/**
 * The product of {@link MicroKernel} with {@code x} read from memory as binary16 ({@link Half}). For a few rows: widening costs arithmetic again for each group
 * of four rows, but runs while the next lines arrive, where widening a block first and multiplying it then take turns.
 */
final class DirectF16 {
    private DirectF16() {}

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
        FloatVector two = FloatVector.broadcast(F, 2);
        FloatVector least = FloatVector.broadcast(F, Half.MINUS_LEAST_NORMAL);
        for (int k = 0; k < kc; k++) {
            long p = xo + (long) k * ldx;
            IntVector b = (IntVector)
                    ShortVector.fromMemorySegment(S, x, p, LITTLE_ENDIAN).convertShape(S2I, I, 0);
            IntVector m = b.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);
            IntVector n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
            FloatVector x0 = m.min(n).or(b.and(Half.SIGN)).reinterpretAsFloats().mul(Half.UNSCALE);
            b = (IntVector) ShortVector.fromMemorySegment(S, x, p + 2L * L, LITTLE_ENDIAN)
                    .convertShape(S2I, I, 0);
            m = b.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);
            n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
            FloatVector x1 = m.min(n).or(b.and(Half.SIGN)).reinterpretAsFloats().mul(Half.UNSCALE);
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
        FloatVector two = FloatVector.broadcast(F, 2);
        FloatVector least = FloatVector.broadcast(F, Half.MINUS_LEAST_NORMAL);
        for (int k = 0; k < kc; k++) {
            long p = xo + (long) k * ldx;
            IntVector b = (IntVector)
                    ShortVector.fromMemorySegment(S, x, p, LITTLE_ENDIAN).convertShape(S2I, I, 0);
            IntVector m = b.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);
            IntVector n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
            FloatVector x0 = m.min(n).or(b.and(Half.SIGN)).reinterpretAsFloats().mul(Half.UNSCALE);
            b = (IntVector) ShortVector.fromMemorySegment(S, x, p + 2L * L, LITTLE_ENDIAN)
                    .convertShape(S2I, I, 0);
            m = b.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);
            n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
            FloatVector x1 = m.min(n).or(b.and(Half.SIGN)).reinterpretAsFloats().mul(Half.UNSCALE);
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
        FloatVector two = FloatVector.broadcast(F, 2);
        FloatVector least = FloatVector.broadcast(F, Half.MINUS_LEAST_NORMAL);
        for (int k = 0; k < kc; k++) {
            long p = xo + (long) k * ldx;
            IntVector b = (IntVector)
                    ShortVector.fromMemorySegment(S, x, p, LITTLE_ENDIAN).convertShape(S2I, I, 0);
            IntVector m = b.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);
            IntVector n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
            FloatVector x0 = m.min(n).or(b.and(Half.SIGN)).reinterpretAsFloats().mul(Half.UNSCALE);
            b = (IntVector) ShortVector.fromMemorySegment(S, x, p + 2L * L, LITTLE_ENDIAN)
                    .convertShape(S2I, I, 0);
            m = b.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);
            n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
            FloatVector x1 = m.min(n).or(b.and(Half.SIGN)).reinterpretAsFloats().mul(Half.UNSCALE);
            FloatVector v = FloatVector.broadcast(F, a[ao + k]);
            s0 = x0.fma(v, s0);
            t0 = x1.fma(v, t0);
        }
        s0.intoArray(c, co);
        t0.intoArray(c, co + L);
    }
}
