package org.duoattention.backend.cpu.vector;

import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LSHR;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.I;
import static org.duoattention.backend.cpu.vector.Simd.L;
import static org.duoattention.backend.cpu.vector.Simd.PANEL;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import org.duoattention.api.tensor.DType;
import org.duoattention.backend.cpu.kernel.BFloat16;
import org.duoattention.backend.cpu.kernel.Matrix;

/**
 * Some rows and columns of a dense weight as floats, transposed: {@code [column][PANEL rows]}. Types of half the width are
 * transposed in pairs of columns, one int each, and widened afterwards.
 */
final class DensePanel {
    private static final ValueLayout.OfInt I32 = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfShort I16 = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /** Ints between rows of the copy; not a power of two, whose lines would displace each other. */
    private static final int STRIDE = Gemm.DEPTH + 16;

    private DensePanel() {}

    /** Ints of scratch: the copy, and a square of it transposed. */
    static int ints() {
        return PANEL * STRIDE + L * L;
    }

    /** Columns {@code k .. k + depth - 1} of {@code rows} rows from {@code row} on; lanes after the last row are zero. */
    static void run(Matrix weight, long row, int rows, int k, int depth, float[] target, int[] scratch) {
        DType type = weight.dtype();
        int columns = type == DType.F32 ? depth : depth / 2;
        for (int r = 0; r < PANEL; r++) {
            if (r < rows) {
                MemorySegment.copy(weight.segment(), I32, weight.at(row + r, k), scratch, r * STRIDE, columns);
            } else {
                Arrays.fill(scratch, r * STRIDE, r * STRIDE + columns, 0);
            }
        }
        int square = PANEL * STRIDE;
        for (int half = 0; half < PANEL; half += L) {
            for (int c = 0; c < columns; c += L) {
                int count = Math.min(L, columns - c);
                transpose(scratch, half * STRIDE + c, count, square);
                switch (type) {
                    case F32 -> f32(scratch, square, count, target, half + c * PANEL);
                    case F16 -> f16(scratch, square, count, target, half + 2 * c * PANEL);
                    default -> bf16(scratch, square, count, target, half + 2 * c * PANEL);
                }
            }
        }
        if (type != DType.F32 && depth % 2 != 0) {
            int last = (depth - 1) * PANEL;
            for (int r = 0; r < PANEL; r++) {
                target[last + r] = r < rows ? element(weight, row + r, k + depth - 1) : 0;
            }
        }
    }

    private static float element(Matrix weight, long row, int column) {
        short bits = weight.segment().get(I16, weight.at(row, column));
        return weight.dtype() == DType.F16 ? Float.float16ToFloat(bits) : BFloat16.widen(bits);
    }

    /** Scalar on purpose: gathering loads take half as long again, and shuffles, a fifth faster, are not everywhere. */
    private static void transpose(int[] scratch, int from, int columns, int to) {
        for (int r = 0; r < L; r++) {
            int row = from + r * STRIDE;
            for (int k = 0; k < columns; k++) {
                scratch[to + k * L + r] = scratch[row + k];
            }
        }
    }

    private static void f32(int[] square, int from, int columns, float[] target, int to) {
        for (int k = 0; k < columns; k++) {
            IntVector.fromArray(I, square, from + k * L).reinterpretAsFloats().intoArray(target, to + k * PANEL);
        }
    }

    private static void bf16(int[] square, int from, int columns, float[] target, int to) {
        for (int k = 0; k < columns; k++) {
            IntVector v = IntVector.fromArray(I, square, from + k * L);
            int at = to + 2 * k * PANEL;
            v.lanewise(LSHL, 16).reinterpretAsFloats().intoArray(target, at);
            v.and(0xffff0000).reinterpretAsFloats().intoArray(target, at + PANEL);
        }
    }

    private static void f16(int[] square, int from, int columns, float[] target, int to) {
        FloatVector two = FloatVector.broadcast(F, 2);
        FloatVector least = FloatVector.broadcast(F, Half.MINUS_LEAST_NORMAL);
        for (int k = 0; k < columns; k++) {
            IntVector v = IntVector.fromArray(I, square, from + k * L);
            int at = to + 2 * k * PANEL;
            IntVector m = v.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);
            IntVector n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
            m.min(n)
                    .or(v.lanewise(LSHL, 16).and(Half.SIGN))
                    .reinterpretAsFloats()
                    .mul(Half.UNSCALE)
                    .intoArray(target, at);
            m = v.lanewise(LSHR, 3).and(Half.MAGNITUDE).or(Half.BIAS);
            n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
            m.min(n)
                    .or(v.and(Half.SIGN))
                    .reinterpretAsFloats()
                    .mul(Half.UNSCALE)
                    .intoArray(target, at + PANEL);
        }
    }
}
