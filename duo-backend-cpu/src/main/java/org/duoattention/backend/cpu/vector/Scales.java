package org.duoattention.backend.cpu.vector;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.S2I;
import static org.duoattention.backend.cpu.vector.CodeLayout.SLOTS;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.I;
import static org.duoattention.backend.cpu.vector.Simd.L;
import static org.duoattention.backend.cpu.vector.Simd.S;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import org.duoattention.backend.cpu.kernel.KvHead;

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

    /**
     * Scales of a group in a block of {@link CodeLayout} as {@code [SLOTS]} floats, then what belongs to a stored code of
     * zero: the offset, or with 8 bits, whose codes are stored minus 128, the offset and 128 scales.
     */
    static void block(KvHead head, long from, float[] target, int at) {
        MemorySegment memory = head.segment();
        long offsets = from + CodeLayout.offsetsAfter(head);
        FloatVector stored = FloatVector.broadcast(F, head.grouped().bits() == 8 ? 128 : 0);
        for (int i = 0; i < SLOTS; i += L) {
            FloatVector scale = load(memory, from + 2L * i);
            scale.intoArray(target, at + i);
            scale.fma(stored, load(memory, offsets + 2L * i)).intoArray(target, at + SLOTS + i);
        }
    }

    /**
     * {@code w[i] = p[i] * scale[i]} for {@code count} slots.
     *
     * @param scales what {@link #block} gave
     * @return the sum of {@code p[i] * offset[i]}
     */
    static float weigh(float[] m, int p, int count, int scales, int w) {
        FloatVector sum = FloatVector.zero(F);
        for (int i = 0; i < count; i += L) {
            FloatVector x = FloatVector.fromArray(F, m, p + i);
            x.mul(FloatVector.fromArray(F, m, scales + i)).intoArray(m, w + i);
            sum = x.fma(FloatVector.fromArray(F, m, scales + SLOTS + i), sum);
        }
        return LaneSum.of(sum);
    }
}
