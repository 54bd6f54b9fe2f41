package org.duoattention.backend.cpu.vector;

import static org.duoattention.backend.cpu.vector.Simd.L;
import static org.duoattention.backend.cpu.vector.Simd.PANEL;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import org.duoattention.backend.cpu.kernel.BFloat16;
import org.duoattention.backend.cpu.kernel.Matrix;
import org.duoattention.backend.cpu.kernel.Workspace;
import org.jspecify.annotations.Nullable;

/**
 * The linear layer for a few tokens, bound by how fast weights arrive from memory: each group of four weight rows is read
 * once, straight from the checkpoint, and used for all tokens. Each output has its own accumulators, so a result does not
 * depend on how rows are split among threads.
 */
final class Gemv {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfShort I16 = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private Gemv() {}

    /** Same contract as {@link org.duoattention.backend.cpu.kernel.CpuKernels#linear}. */
    static void linear(
            Matrix x, Matrix weight, @Nullable Matrix bias, Matrix out, long from, long to, Workspace workspace) {
        int tokens = Math.toIntExact(x.rows());
        int body = x.columns() / PANEL * PANEL;
        MemorySegment w = weight.segment();
        MemorySegment input = x.segment();
        float[] y = workspace.floats(4 * L);
        for (long row = from; row < to; row += 4) {
            // A short last group computes its last row more than once rather than having kernels of its own.
            long w0 = weight.at(row, 0);
            long w1 = weight.at(Math.min(row + 1, to - 1), 0);
            long w2 = weight.at(Math.min(row + 2, to - 1), 0);
            long w3 = weight.at(Math.min(row + 3, to - 1), 0);
            int rows = (int) Math.min(4, to - row);
            for (int t = 0; t < tokens; t++) {
                long xo = x.at(t, 0);
                switch (weight.dtype()) {
                    case F32 -> GemvF32.four(w, w0, w1, w2, w3, input, xo, body, y);
                    case F16 -> GemvF16.four(w, w0, w1, w2, w3, input, xo, body, y);
                    default -> GemvBf16.four(w, w0, w1, w2, w3, input, xo, body, y);
                }
                for (int i = 0; i < rows; i++) {
                    float value = LaneSum.of(y, i * L);
                    for (int k = body; k < x.columns(); k++) {
                        value = Math.fma(element(weight, row + i, k), element(x, t, k), value);
                    }
                    if (bias != null) {
                        value += element(bias, 0, row + i);
                    }
                    out.segment().set(F32, out.at(t, row + i), value);
                }
            }
        }
    }

    private static float element(Matrix matrix, long row, long column) {
        long at = matrix.at(row, column);
        return switch (matrix.dtype()) {
            case F32 -> matrix.segment().get(F32, at);
            case F16 -> Float.float16ToFloat(matrix.segment().get(I16, at));
            default -> BFloat16.widen(matrix.segment().get(I16, at));
        };
    }
}
