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
import org.duoattention.api.tensor.DType;

/** {@link Simd#PANEL} columns of a dense weight as floats: {@link Widen} for many short rows, in one loop each. Exact. */
final class WidenPanel {
    private WidenPanel() {}

    /** The first {@link Simd#PANEL} elements of rows that are {@code stride} bytes apart, as {@code [rows][PANEL]}. */
    static void run(DType dtype, MemorySegment source, long offset, long stride, int rows, float[] target, int at) {
        switch (dtype) {
            case F32 -> f32(source, offset, stride, rows, target, at);
            case F16 -> {
                f16(source, offset, stride, rows, target, at);
                f16(source, offset + 2L * L, stride, rows, target, at + L);
            }
            default -> bf16(source, offset, stride, rows, target, at);
        }
    }

    private static void f32(MemorySegment source, long offset, long stride, int rows, float[] target, int at) {
        for (int r = 0; r < rows; r++) {
            long row = offset + r * stride;
            int to = at + r * PANEL;
            FloatVector.fromMemorySegment(F, source, row, LITTLE_ENDIAN).intoArray(target, to);
            FloatVector.fromMemorySegment(F, source, row + 4L * L, LITTLE_ENDIAN)
                    .intoArray(target, to + L);
        }
    }

    private static void bf16(MemorySegment source, long offset, long stride, int rows, float[] target, int at) {
        for (int r = 0; r < rows; r++) {
            long row = offset + r * stride;
            int to = at + r * PANEL;
            ((IntVector) ShortVector.fromMemorySegment(S, source, row, LITTLE_ENDIAN)
                            .convertShape(S2I, I, 0))
                    .lanewise(LSHL, 16)
                    .reinterpretAsFloats()
                    .intoArray(target, to);
            ((IntVector) ShortVector.fromMemorySegment(S, source, row + 2L * L, LITTLE_ENDIAN)
                            .convertShape(S2I, I, 0))
                    .lanewise(LSHL, 16)
                    .reinterpretAsFloats()
                    .intoArray(target, to + L);
        }
    }

    /** Half of a panel. */
    private static void f16(MemorySegment source, long offset, long stride, int rows, float[] target, int at) {
        FloatVector two = FloatVector.broadcast(F, 2);
        FloatVector least = FloatVector.broadcast(F, Half.MINUS_LEAST_NORMAL);
        for (int r = 0; r < rows; r++) {
            IntVector bits = (IntVector) ShortVector.fromMemorySegment(S, source, offset + r * stride, LITTLE_ENDIAN)
                    .convertShape(S2I, I, 0);
            IntVector m = bits.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);
            IntVector n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
            m.min(n)
                    .or(bits.and(Half.SIGN))
                    .reinterpretAsFloats()
                    .mul(Half.UNSCALE)
                    .intoArray(target, at + r * PANEL);
        }
    }
}
