package org.duoattention.backend.cpu.vector;

import static org.duoattention.backend.cpu.vector.Simd.PANEL;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.duoattention.backend.cpu.kernel.Matrix;
import org.duoattention.backend.cpu.kernel.Workspace;
import org.jspecify.annotations.Nullable;

/**
 * The linear layer for many tokens: a matrix product blocked for the caches (after Goto and van de Geijn, "Anatomy of
 * High-Performance Matrix Multiplication", ACM TOMS 34(3), 2008), with <i>lanes along the tokens</i>. So weights, which are
 * row-major and may be half as wide, are widened and never transposed; activations are transposed once per input, and
 * results once.
 *
 * <ul>
 *   <li>activations: panels {@code [in][PANEL tokens]}; a slice {@link #DEPTH} deep stays in the first-level cache,
 *   <li>weights: {@link #BLOCK_ROWS} rows by {@link #DEPTH} columns, widened into scratch in the second-level cache,
 *   <li>sums: {@code [panel][row][PANEL]}, in the second-level cache, stored transposed when the whole depth is done.
 * </ul>
 */
final class Gemm {
    private static final int DEPTH = 128;
    private static final int BLOCK_ROWS = 16 * MicroKernel.ROWS;
    /** Most floats of packed activations. */
    private static final int MOST_PACKED = 1 << 22;

    /** Columns packed at a time: the lines written stay in cache until all their lanes are there. */
    private static final int STRIP = 64;

    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private Gemm() {}

    /** Most tokens of one call. */
    static int mostTokens(int in) {
        return Math.max(1, MOST_PACKED / in / PANEL) * PANEL;
    }

    /** Length of the packed activations. */
    static int packedFloats(int tokens, int in) {
        return Math.multiplyExact(panels(tokens) * PANEL, in);
    }

    private static int panels(int tokens) {
        return (tokens + PANEL - 1) / PANEL;
    }

    /** Same contract as {@link org.duoattention.backend.cpu.kernel.CpuKernels#linear}. */
    static void linear(
            float[] packed, Matrix weight, @Nullable Matrix bias, Matrix out, long from, long to, Workspace workspace) {
        int in = weight.columns();
        int tokens = Math.toIntExact(out.rows());
        int panels = panels(tokens);
        int c = BLOCK_ROWS * DEPTH;
        int b = c + BLOCK_ROWS * panels * PANEL;
        float[] scratch = workspace.floats(b + BLOCK_ROWS);
        int bytes = weight.dtype().bytes();
        for (long row = from; row < to; row += BLOCK_ROWS) {
            int rows = (int) Math.min(BLOCK_ROWS, to - row);
            Arrays.fill(scratch, c, b, 0f);
            for (int k = 0; k < in; k += DEPTH) {
                int depth = Math.min(DEPTH, in - k);
                for (int r = 0; r < rows; r++) {
                    long at = weight.at(row + r, 0) + (long) k * bytes;
                    Widen.run(weight.dtype(), weight.segment(), at, depth, scratch, r * DEPTH);
                }
                for (int p = 0; p < panels; p++) {
                    int xo = (p * in + k) * PANEL;
                    int co = c + p * rows * PANEL;
                    MicroKernel.rows(rows, scratch, 0, DEPTH, packed, xo, PANEL, scratch, co, PANEL, depth);
                }
            }
            if (bias == null) {
                Arrays.fill(scratch, b, b + rows, 0f);
            } else {
                Widen.run(bias.dtype(), bias.segment(), bias.at(0, row), rows, scratch, b);
            }
            store(scratch, c, b, rows, out, row);
        }
    }

    /**
     * Share {@code part} of {@code parts} of the activations as panels of tokens, {@code [panel][in][PANEL]}; lanes after the
     * last token are zero.
     */
    static void pack(Matrix x, int part, int parts, float[] target) {
        int in = x.columns();
        int tokens = Math.toIntExact(x.rows());
        int strips = (in + STRIP - 1) / STRIP;
        int all = panels(tokens) * strips;
        int end = (int) ((long) all * (part + 1) / parts);
        for (int i = (int) ((long) all * part / parts); i < end; i++) {
            packStrip(x, tokens, i / strips, i % strips * STRIP, target);
        }
    }

    private static void packStrip(Matrix x, int tokens, int panel, int from, float[] target) {
        int in = x.columns();
        int to = Math.min(in, from + STRIP);
        MemorySegment source = x.segment();
        for (int lane = 0; lane < PANEL; lane++) {
            int token = panel * PANEL + lane;
            int at = panel * in * PANEL + lane;
            if (token < tokens) {
                long offset = x.at(token, 0);
                for (int k = from; k < to; k++) {
                    target[at + k * PANEL] = source.get(F32, offset + 4L * k);
                }
            } else {
                for (int k = from; k < to; k++) {
                    target[at + k * PANEL] = 0;
                }
            }
        }
    }

    private static void store(float[] scratch, int c, int b, int rows, Matrix out, long row) {
        MemorySegment target = out.segment();
        for (int t = 0; t < out.rows(); t++) {
            long at = out.at(t, row);
            int from = c + t / PANEL * rows * PANEL + t % PANEL;
            for (int r = 0; r < rows; r++) {
                target.set(F32, at + 4L * r, scratch[from + r * PANEL] + scratch[b + r]);
            }
        }
    }
}
