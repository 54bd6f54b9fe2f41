package org.duoattention.backend.cpu.vector;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.S2I;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.I;
import static org.duoattention.backend.cpu.vector.Simd.L;
import static org.duoattention.backend.cpu.vector.Simd.PANEL;
import static org.duoattention.backend.cpu.vector.Simd.S;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;

/**
 * Four dot products of binary16 rows with one float row. The conversion is {@link Half}'s; it is written out eight times
 * because the compiler gives up inlining a helper here, and then allocates every vector: 2.6 instead of 18 GB/s.
 */
final class GemvF16 {
    private GemvF16() {}

    /**
     * The sum of {@code w_i[k] * x[k]} over the first {@code body} elements, for four rows, lane by lane: {@link LaneSum} adds
     * up the lanes.
     *
     * @param w weights; row {@code i} starts at byte {@code wi}
     * @param x the input, floats from byte {@code xo}
     * @param body elements, a multiple of {@link Simd#PANEL}
     * @param y receives {@code [4][L]}
     */
    static void four(
            MemorySegment w, long w0, long w1, long w2, long w3, MemorySegment x, long xo, int body, float[] y) {
        FloatVector a0 = FloatVector.zero(F), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
        FloatVector two = FloatVector.broadcast(F, 2);
        FloatVector least = FloatVector.broadcast(F, Half.MINUS_LEAST_NORMAL);
        for (int i = 0; i < body; i += PANEL) {
            FloatVector x0 = FloatVector.fromMemorySegment(F, x, xo + 4L * i, LITTLE_ENDIAN)
                    .mul(Half.HALF_UNSCALE);
            FloatVector x1 = FloatVector.fromMemorySegment(F, x, xo + 4L * (i + L), LITTLE_ENDIAN)
                    .mul(Half.HALF_UNSCALE);
            long at = 2L * i;
            long next = at + 2L * L;
            IntVector v, m, n;
            v = (IntVector)
                    ShortVector.fromMemorySegment(S, w, w0 + at, LITTLE_ENDIAN).convertShape(S2I, I, 0);
            m = v.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);
            n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
            a0 = m.min(n).or(v.and(Half.SIGN)).reinterpretAsFloats().fma(x0, a0);
            v = (IntVector) ShortVector.fromMemorySegment(S, w, w0 + next, LITTLE_ENDIAN)
                    .convertShape(S2I, I, 0);
            m = v.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);
            n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
            b0 = m.min(n).or(v.and(Half.SIGN)).reinterpretAsFloats().fma(x1, b0);
            v = (IntVector)
                    ShortVector.fromMemorySegment(S, w, w1 + at, LITTLE_ENDIAN).convertShape(S2I, I, 0);
            m = v.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);
            n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
            a1 = m.min(n).or(v.and(Half.SIGN)).reinterpretAsFloats().fma(x0, a1);
            v = (IntVector) ShortVector.fromMemorySegment(S, w, w1 + next, LITTLE_ENDIAN)
                    .convertShape(S2I, I, 0);
            m = v.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);
            n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
            b1 = m.min(n).or(v.and(Half.SIGN)).reinterpretAsFloats().fma(x1, b1);
            v = (IntVector)
                    ShortVector.fromMemorySegment(S, w, w2 + at, LITTLE_ENDIAN).convertShape(S2I, I, 0);
            m = v.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);
            n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
            a2 = m.min(n).or(v.and(Half.SIGN)).reinterpretAsFloats().fma(x0, a2);
            v = (IntVector) ShortVector.fromMemorySegment(S, w, w2 + next, LITTLE_ENDIAN)
                    .convertShape(S2I, I, 0);
            m = v.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);
            n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
            b2 = m.min(n).or(v.and(Half.SIGN)).reinterpretAsFloats().fma(x1, b2);
            v = (IntVector)
                    ShortVector.fromMemorySegment(S, w, w3 + at, LITTLE_ENDIAN).convertShape(S2I, I, 0);
            m = v.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);
            n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
            a3 = m.min(n).or(v.and(Half.SIGN)).reinterpretAsFloats().fma(x0, a3);
            v = (IntVector) ShortVector.fromMemorySegment(S, w, w3 + next, LITTLE_ENDIAN)
                    .convertShape(S2I, I, 0);
            m = v.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);
            n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
            b3 = m.min(n).or(v.and(Half.SIGN)).reinterpretAsFloats().fma(x1, b3);
        }
        a0.add(b0).mul(Half.HALF_UNSCALE).intoArray(y, 0);
        a1.add(b1).mul(Half.HALF_UNSCALE).intoArray(y, L);
        a2.add(b2).mul(Half.HALF_UNSCALE).intoArray(y, 2 * L);
        a3.add(b3).mul(Half.HALF_UNSCALE).intoArray(y, 3 * L);
    }
}
