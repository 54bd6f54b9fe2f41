package org.duoattention.backend.cpu.vector;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LSHR;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.I;
import static org.duoattention.backend.cpu.vector.Simd.L;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/** The scales or the offsets of one panel and group as floats, where a {@link QuantizedLayout} put them. */
final class ScaleVectors {
    private ScaleVectors() {}

    /**
     * Writes {@link Simd#PANEL} floats.
     *
     * @param half whether they are stored as F16, else as F32; see {@link Half} for the conversion
     */
    static void run(MemorySegment memory, long at, boolean half, float[] target, int to) {
        if (half) {
            FloatVector two = FloatVector.broadcast(F, 2);
            FloatVector least = FloatVector.broadcast(F, Half.MINUS_LEAST_NORMAL);
            IntVector v = IntVector.fromMemorySegment(I, memory, at, LITTLE_ENDIAN);
            IntVector m = v.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);
            IntVector n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
            m.min(n)
                    .or(v.lanewise(LSHL, 16).and(Half.SIGN))
                    .reinterpretAsFloats()
                    .mul(Half.UNSCALE)
                    .intoArray(target, to);
            m = v.lanewise(LSHR, 3).and(Half.MAGNITUDE).or(Half.BIAS);
            n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
            m.min(n)
                    .or(v.and(Half.SIGN))
                    .reinterpretAsFloats()
                    .mul(Half.UNSCALE)
                    .intoArray(target, to + L);
        } else {
            FloatVector.fromMemorySegment(F, memory, at, LITTLE_ENDIAN).intoArray(target, to);
            FloatVector.fromMemorySegment(F, memory, at + 4L * L, LITTLE_ENDIAN).intoArray(target, to + L);
        }
    }
}
