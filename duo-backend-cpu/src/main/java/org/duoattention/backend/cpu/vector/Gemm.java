package org.duoattention.backend.cpu.vector;

import static org.duoattention.backend.cpu.vector.Simd.PANEL;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.duoattention.backend.cpu.kernel.Matrix;
import org.duoattention.backend.cpu.kernel.QuantizedWeight;
import org.duoattention.backend.cpu.kernel.Weight;
import org.duoattention.backend.cpu.kernel.Workspace;
import org.jspecify.annotations.Nullable;

/**
 * The linear layer for many tokens: a matrix product blocked for the caches (after Goto and van de Geijn, "Anatomy of
 * High-Performance Matrix Multiplication", ACM TOMS 34(3), 2008), with <i>lanes along the weight rows</i>, so that results
 * come out in the order in which they are stored, whatever the format of the weights.
 *
 * <ul>
 *   <li>weights: {@link Simd#PANEL} rows by {@link #DEPTH} columns at a time become floats, {@code [column][PANEL]}, in the
 *       first-level cache, and serve all tokens,
 *   <li>inputs: packed once as {@code [tile][in][tokens of a tile]}; a slice {@link #DEPTH} deep of all tiles stays in the
 *       second-level cache while {@link #PANELS} panels pass,
 *   <li>sums: {@code [panel][tile][token][PANEL]}, in the second-level cache.
 * </ul>
 */
final class Gemm {
    /** Most columns of a slice; a multiple of 4. */
    static final int DEPTH = 128;

    /** Panels that share a slice of inputs. */
    private static final int PANELS = 4;

    /** Most tiles of one call, so that a slice of them and the sums share the second-level cache. */
    private static final int MOST_TILES = 64;

    /** Most floats of packed inputs. */
    private static final int MOST_PACKED = 1 << 23;

    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private Gemm() {}

    /** Most tokens of one call. */
    static int mostTokens(int in) {
        return Math.clamp(MOST_PACKED / in / PanelKernel.TOKENS, 1, MOST_TILES) * PanelKernel.TOKENS;
    }

    /** Length of the packed inputs. */
    static int packedFloats(int tokens, int in) {
        return Math.multiplyExact(padded(tokens), in);
    }

    static int padded(int tokens) {
        int rest = tokens % PanelKernel.TOKENS;
        return tokens - rest + (rest == 0 ? 0 : PanelKernel.width(rest));
    }

    private static int tiles(int tokens) {
        return (tokens + PanelKernel.TOKENS - 1) / PanelKernel.TOKENS;
    }

    /** Same contract as {@link org.duoattention.backend.cpu.kernel.CpuKernels#linear}. */
    static void linear(
            float[] packed, Weight weight, @Nullable Matrix bias, Matrix out, long from, long to, Workspace workspace) {
        int in = weight.columns();
        int tokens = Math.toIntExact(out.rows());
        int padded = padded(tokens);
        int b = DEPTH * PANEL;
        int c = b + PANEL;
        float[] scratch = workspace.floats(c + PANELS * padded * PANEL);
        int[] ints = workspace.ints(DensePanel.ints());
        int group = weight instanceof QuantizedWeight q ? q.format().group() : 1;
        for (long row = from; row < to; row += (long) PANELS * PANEL) {
            int panels = (int) Math.min(PANELS, (to - row + PANEL - 1) / PANEL);
            Arrays.fill(scratch, c, c + panels * padded * PANEL, 0f);
            for (int k = 0; k < in; ) {
                int depth = depth(k, in, group);
                for (int p = 0; p < panels; p++) {
                    long first = row + (long) p * PANEL;
                    int rows = (int) Math.min(PANEL, to - first);
                    switch (weight) {
                        case Matrix m -> DensePanel.run(m, first, rows, k, depth, scratch, ints);
                        case QuantizedWeight q -> QuantizedPanel.run(q, first, k, depth, scratch);
                    }
                    int sums = c + p * padded * PANEL;
                    for (int t = 0; t < tokens; t += PanelKernel.TOKENS) {
                        int width = PanelKernel.width(tokens - t);
                        PanelKernel.run(
                                width, packed, t * in + k * width, scratch, 0, scratch, sums + t * PANEL, depth);
                    }
                }
                k += depth;
            }
            for (int p = 0; p < panels; p++) {
                long first = row + (long) p * PANEL;
                int rows = (int) Math.min(PANEL, to - first);
                if (bias == null) {
                    Arrays.fill(scratch, b, b + rows, 0f);
                } else {
                    Widen.run(bias.dtype(), bias.segment(), bias.at(0, first), rows, scratch, b);
                }
                store(scratch, c + p * padded * PANEL, b, rows, out, first);
            }
        }
    }

    /**
     * Columns of the slice at {@code k}: whole groups where they fit, else a part of one that starts at a multiple of 4 in it.
     */
    private static int depth(int k, int in, int group) {
        return group <= DEPTH ? Math.min(in - k, DEPTH / group * group) : Math.min(DEPTH, group - k % group);
    }

    private static void store(float[] scratch, int c, int b, int rows, Matrix out, long row) {
        for (int t = 0; t < out.rows(); t++) {
            int at = c + t * PANEL;
            for (int r = 0; r < rows; r++) {
                scratch[at + r] += scratch[b + r];
            }
            MemorySegment.copy(scratch, at, out.segment(), F32, out.at(t, row), rows);
        }
    }

    /** Share {@code part} of {@code parts} of the inputs as tiles; tokens after the last are zero. */
    static void pack(Matrix x, int part, int parts, float[] target) {
        pack(x, part, parts, target, 0);
    }

    /** As {@link #pack(Matrix, int, int, float[])}, to {@code target} from {@code at} on. */
    static void pack(Matrix x, int part, int parts, float[] target, int at) {
        int tokens = Math.toIntExact(x.rows());
        int tiles = tiles(tokens);
        int end = (int) ((long) tiles * (part + 1) / parts);
        for (int tile = (int) ((long) tiles * part / parts); tile < end; tile++) {
            int token = tile * PanelKernel.TOKENS;
            PackTile.run(x, token, PanelKernel.width(tokens - token), target, at + token * x.columns());
        }
    }
}
