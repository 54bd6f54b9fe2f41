package org.duoattention.backend.cpu.vector;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.S2I;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.I;
import static org.duoattention.backend.cpu.vector.Simd.L;
import static org.duoattention.backend.cpu.vector.Simd.S;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import org.duoattention.api.tensor.DType;
import org.duoattention.backend.cpu.kernel.BFloat16;

/** Consecutive elements of any type as floats in scratch. Exact. */
final class Widen {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfShort I16 = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private Widen() {}

    /** {@code target[at + i] = source[i]} for {@code i < count}; {@code source} starts at a byte offset. */
    static void run(DType dtype, MemorySegment source, long offset, int count, float[] target, int at) {
        switch (dtype) {
            case F32 -> MemorySegment.copy(source, F32, offset, target, at, count);
            case F16 -> f16(source, offset, count, target, at);
            default -> bf16(source, offset, count, target, at);
        }
    }

    private static void bf16(MemorySegment source, long offset, int count, float[] target, int at) {
        int i = 0;
        for (; i <= count - L; i += L) {
            ((IntVector) ShortVector.fromMemorySegment(S, source, offset + 2L * i, LITTLE_ENDIAN)
                            .convertShape(S2I, I, 0))
                    .lanewise(LSHL, 16)
                    .reinterpretAsFloats()
                    .intoArray(target, at + i);
        }
        for (; i < count; i++) {
            target[at + i] = BFloat16.widen(source.get(I16, offset + 2L * i));
        }
    }

    private static void f16(MemorySegment source, long offset, int count, float[] target, int at) {
        FloatVector two = FloatVector.broadcast(F, 2);
        FloatVector least = FloatVector.broadcast(F, Half.MINUS_LEAST_NORMAL);
        int i = 0;
        for (; i <= count - L; i += L) {
            IntVector bits = (IntVector) ShortVector.fromMemorySegment(S, source, offset + 2L * i, LITTLE_ENDIAN)
                    .convertShape(S2I, I, 0);
            IntVector m = bits.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);
            IntVector n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
            m.min(n)
                    .or(bits.and(Half.SIGN))
                    .reinterpretAsFloats()
                    .mul(Half.UNSCALE)
                    .intoArray(target, at + i);
        }
        for (; i < count; i++) {
            target[at + i] = Float.float16ToFloat(source.get(I16, offset + 2L * i));
        }
    }
}
