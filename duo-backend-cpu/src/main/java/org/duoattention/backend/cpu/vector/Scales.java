package org.duoattention.backend.cpu.vector;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.S2I;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.I;
import static org.duoattention.backend.cpu.vector.Simd.S;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;

/** F16 scales and offsets as floats. */
final class Scales {
    private Scales() {}

    /** {@link Simd#L} consecutive binary16 numbers. {@link Half} says how. */
    static FloatVector load(MemorySegment memory, long at) {
        IntVector bits = (IntVector)
                ShortVector.fromMemorySegment(S, memory, at, LITTLE_ENDIAN).convertShape(S2I, I, 0);
        IntVector m = bits.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);
        IntVector n = m.reinterpretAsFloats()
                .fma(FloatVector.broadcast(F, 2), FloatVector.broadcast(F, Half.MINUS_LEAST_NORMAL))
                .reinterpretAsInts();
        return m.min(n).or(bits.and(Half.SIGN)).reinterpretAsFloats().mul(Half.UNSCALE);
    }
}
