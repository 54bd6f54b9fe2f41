package org.duoattention.backend.cpu.vector;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static jdk.incubator.vector.VectorOperators.I2F;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LSHR;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.I;
import static org.duoattention.backend.cpu.vector.Simd.L;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/**
 * The linear layer of one row of input and 4-bit codes, inputs as they are. A code is not shifted down before it is
 * multiplied: masked where it stands it is {@code 16^n} times too large, which the input makes up for, exactly.
 */
final class GemvInt4 {
    private GemvInt4() {}

    /**
     * The sums of a block, {@link QuantizedLayout#BLOCK} rows.
     *
     * @param w the block from byte {@code at}
     * @param layout its order
     * @param half whether scales are F16, else F32
     * @param asymmetric whether there are offsets
     * @param x inputs from {@code xo}, padded to whole words per group: the second of four times {@code 2^-4}, the third {@code 2^-8}, the
     *     fourth {@code 2^-12}
     * @param so where in {@code x} the sums of the groups' inputs are
     * @param y the result
     */
    static void block(
            MemorySegment w,
            long at,
            QuantizedLayout layout,
            boolean half,
            boolean asymmetric,
            float[] x,
            int xo,
            int so,
            float[] y) {
        int words = layout.words();
        long scales = layout.scalesAt();
        long offsets = layout.offsetsAt();
        long groupBytes = layout.groupBytes();
        FloatVector two = FloatVector.broadcast(F, 2);
        FloatVector least = FloatVector.broadcast(F, Half.MINUS_LEAST_NORMAL);
        FloatVector t0 = FloatVector.zero(F), t1 = t0, t2 = t0, t3 = t0;
        float centre = asymmetric ? 0 : -8;
        for (int turn = 0; turn < layout.groups(); turn++) {
            int g = layout.inTurn(turn);
            int k = xo + 4 * words * g;
            long q = at + g * groupBytes;
            FloatVector a0 = FloatVector.broadcast(F, centre * x[so + g]), a1 = a0, a2 = a0, a3 = a0;
            IntVector v, m, n;
            long p = q;
            for (int j = 0; j < words; j++, k += 4, p += 8L * L) {
                FloatVector x0 = FloatVector.broadcast(F, x[k]);
                FloatVector x1 = FloatVector.broadcast(F, x[k + 1]);
                FloatVector x2 = FloatVector.broadcast(F, x[k + 2]);
                FloatVector x3 = FloatVector.broadcast(F, x[k + 3]);
                v = IntVector.fromMemorySegment(I, w, p, LITTLE_ENDIAN);
                a0 = ((FloatVector) v.and(0xf).convert(I2F, 0)).fma(x0, a0);
                a0 = ((FloatVector) v.and(0xf0).convert(I2F, 0)).fma(x1, a0);
                a0 = ((FloatVector) v.and(0xf00).convert(I2F, 0)).fma(x2, a0);
                a0 = ((FloatVector) v.and(0xf000).convert(I2F, 0)).fma(x3, a0);
                v = v.lanewise(LSHR, 16);
                a1 = ((FloatVector) v.and(0xf).convert(I2F, 0)).fma(x0, a1);
                a1 = ((FloatVector) v.and(0xf0).convert(I2F, 0)).fma(x1, a1);
                a1 = ((FloatVector) v.and(0xf00).convert(I2F, 0)).fma(x2, a1);
                a1 = ((FloatVector) v.and(0xf000).convert(I2F, 0)).fma(x3, a1);
                v = IntVector.fromMemorySegment(I, w, p + 4L * L, LITTLE_ENDIAN);
                a2 = ((FloatVector) v.and(0xf).convert(I2F, 0)).fma(x0, a2);
                a2 = ((FloatVector) v.and(0xf0).convert(I2F, 0)).fma(x1, a2);
                a2 = ((FloatVector) v.and(0xf00).convert(I2F, 0)).fma(x2, a2);
                a2 = ((FloatVector) v.and(0xf000).convert(I2F, 0)).fma(x3, a2);
                v = v.lanewise(LSHR, 16);
                a3 = ((FloatVector) v.and(0xf).convert(I2F, 0)).fma(x0, a3);
                a3 = ((FloatVector) v.and(0xf0).convert(I2F, 0)).fma(x1, a3);
                a3 = ((FloatVector) v.and(0xf00).convert(I2F, 0)).fma(x2, a3);
                a3 = ((FloatVector) v.and(0xf000).convert(I2F, 0)).fma(x3, a3);
            }
            FloatVector s0, s1;
            if (half) {
                v = IntVector.fromMemorySegment(I, w, q + scales, LITTLE_ENDIAN);
                m = v.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);
                n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
                s0 = m.min(n)
                        .or(v.lanewise(LSHL, 16).and(Half.SIGN))
                        .reinterpretAsFloats()
                        .mul(Half.UNSCALE);
                m = v.lanewise(LSHR, 3).and(Half.MAGNITUDE).or(Half.BIAS);
                n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
                s1 = m.min(n).or(v.and(Half.SIGN)).reinterpretAsFloats().mul(Half.UNSCALE);
                t0 = a0.fma(s0, t0);
                t1 = a1.fma(s1, t1);
                v = IntVector.fromMemorySegment(I, w, q + scales + 4L * L, LITTLE_ENDIAN);
                m = v.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);
                n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
                s0 = m.min(n)
                        .or(v.lanewise(LSHL, 16).and(Half.SIGN))
                        .reinterpretAsFloats()
                        .mul(Half.UNSCALE);
                m = v.lanewise(LSHR, 3).and(Half.MAGNITUDE).or(Half.BIAS);
                n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
                s1 = m.min(n).or(v.and(Half.SIGN)).reinterpretAsFloats().mul(Half.UNSCALE);
                t2 = a2.fma(s0, t2);
                t3 = a3.fma(s1, t3);
            } else {
                s0 = FloatVector.fromMemorySegment(F, w, q + scales, LITTLE_ENDIAN);
                s1 = FloatVector.fromMemorySegment(F, w, q + scales + 4L * L, LITTLE_ENDIAN);
                t0 = a0.fma(s0, t0);
                t1 = a1.fma(s1, t1);
                s0 = FloatVector.fromMemorySegment(F, w, q + scales + 8L * L, LITTLE_ENDIAN);
                s1 = FloatVector.fromMemorySegment(F, w, q + scales + 8L * L + 4L * L, LITTLE_ENDIAN);
                t2 = a2.fma(s0, t2);
                t3 = a3.fma(s1, t3);
            }
            if (asymmetric) {
                a0 = FloatVector.broadcast(F, x[so + g]);
                if (half) {
                    v = IntVector.fromMemorySegment(I, w, q + offsets, LITTLE_ENDIAN);
                    m = v.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);
                    n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
                    s0 = m.min(n)
                            .or(v.lanewise(LSHL, 16).and(Half.SIGN))
                            .reinterpretAsFloats()
                            .mul(Half.UNSCALE);
                    m = v.lanewise(LSHR, 3).and(Half.MAGNITUDE).or(Half.BIAS);
                    n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
                    s1 = m.min(n).or(v.and(Half.SIGN)).reinterpretAsFloats().mul(Half.UNSCALE);
                    t0 = a0.fma(s0, t0);
                    t1 = a0.fma(s1, t1);
                    v = IntVector.fromMemorySegment(I, w, q + offsets + 4L * L, LITTLE_ENDIAN);
                    m = v.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);
                    n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
                    s0 = m.min(n)
                            .or(v.lanewise(LSHL, 16).and(Half.SIGN))
                            .reinterpretAsFloats()
                            .mul(Half.UNSCALE);
                    m = v.lanewise(LSHR, 3).and(Half.MAGNITUDE).or(Half.BIAS);
                    n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
                    s1 = m.min(n).or(v.and(Half.SIGN)).reinterpretAsFloats().mul(Half.UNSCALE);
                    t2 = a0.fma(s0, t2);
                    t3 = a0.fma(s1, t3);
                } else {
                    s0 = FloatVector.fromMemorySegment(F, w, q + offsets, LITTLE_ENDIAN);
                    s1 = FloatVector.fromMemorySegment(F, w, q + offsets + 4L * L, LITTLE_ENDIAN);
                    t0 = a0.fma(s0, t0);
                    t1 = a0.fma(s1, t1);
                    s0 = FloatVector.fromMemorySegment(F, w, q + offsets + 8L * L, LITTLE_ENDIAN);
                    s1 = FloatVector.fromMemorySegment(F, w, q + offsets + 8L * L + 4L * L, LITTLE_ENDIAN);
                    t2 = a0.fma(s0, t2);
                    t3 = a0.fma(s1, t3);
                }
            }
        }
        t0.intoArray(y, 0);
        t1.intoArray(y, L);
        t2.intoArray(y, 2 * L);
        t3.intoArray(y, 3 * L);
    }
}
