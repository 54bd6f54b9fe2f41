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

/** Four dot products of bfloat16 rows with one float row. */
final class GemvBf16 {
    private GemvBf16() {}

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
        for (int i = 0; i < body; i += PANEL) {
            FloatVector x0 = FloatVector.fromMemorySegment(F, x, xo + 4L * i, LITTLE_ENDIAN);
            FloatVector x1 = FloatVector.fromMemorySegment(F, x, xo + 4L * (i + L), LITTLE_ENDIAN);
            long at = 2L * i;
            long next = at + 2L * L;
            IntVector v;
            v = (IntVector)
                    ShortVector.fromMemorySegment(S, w, w0 + at, LITTLE_ENDIAN).convertShape(S2I, I, 0);
            a0 = v.lanewise(LSHL, 16).reinterpretAsFloats().fma(x0, a0);
            v = (IntVector) ShortVector.fromMemorySegment(S, w, w0 + next, LITTLE_ENDIAN)
                    .convertShape(S2I, I, 0);
            b0 = v.lanewise(LSHL, 16).reinterpretAsFloats().fma(x1, b0);
            v = (IntVector)
                    ShortVector.fromMemorySegment(S, w, w1 + at, LITTLE_ENDIAN).convertShape(S2I, I, 0);
            a1 = v.lanewise(LSHL, 16).reinterpretAsFloats().fma(x0, a1);
            v = (IntVector) ShortVector.fromMemorySegment(S, w, w1 + next, LITTLE_ENDIAN)
                    .convertShape(S2I, I, 0);
            b1 = v.lanewise(LSHL, 16).reinterpretAsFloats().fma(x1, b1);
            v = (IntVector)
                    ShortVector.fromMemorySegment(S, w, w2 + at, LITTLE_ENDIAN).convertShape(S2I, I, 0);
            a2 = v.lanewise(LSHL, 16).reinterpretAsFloats().fma(x0, a2);
            v = (IntVector) ShortVector.fromMemorySegment(S, w, w2 + next, LITTLE_ENDIAN)
                    .convertShape(S2I, I, 0);
            b2 = v.lanewise(LSHL, 16).reinterpretAsFloats().fma(x1, b2);
            v = (IntVector)
                    ShortVector.fromMemorySegment(S, w, w3 + at, LITTLE_ENDIAN).convertShape(S2I, I, 0);
            a3 = v.lanewise(LSHL, 16).reinterpretAsFloats().fma(x0, a3);
            v = (IntVector) ShortVector.fromMemorySegment(S, w, w3 + next, LITTLE_ENDIAN)
                    .convertShape(S2I, I, 0);
            b3 = v.lanewise(LSHL, 16).reinterpretAsFloats().fma(x1, b3);
        }
        a0.add(b0).intoArray(y, 0);
        a1.add(b1).intoArray(y, L);
        a2.add(b2).intoArray(y, 2 * L);
        a3.add(b3).intoArray(y, 3 * L);
    }
}
