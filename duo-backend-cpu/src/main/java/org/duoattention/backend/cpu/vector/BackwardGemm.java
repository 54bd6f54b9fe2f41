package org.duoattention.backend.cpu.vector;

import static org.duoattention.backend.cpu.vector.Simd.PANEL;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.List;
import org.duoattention.backend.cpu.kernel.LinearGradient;
import org.duoattention.backend.cpu.kernel.Matrix;
import org.duoattention.backend.cpu.kernel.PackedInput;
import org.duoattention.backend.cpu.kernel.QuantizedWeight;
import org.duoattention.backend.cpu.kernel.Weight;
import org.duoattention.backend.cpu.kernel.Workspace;

/**
 * The backward of linear layers: {@link Gemm} with the outputs as what is summed over, so that panels of weights are taken as
 * they lie, <i>lanes along the inputs</i>. The sums of all layers that read one input go on in the same place.
 */
final class BackwardGemm {
    /** Outputs of a slice; a multiple of every panel. */
    private static final int DEPTH = Gemm.DEPTH;

    /** Panels that share a slice of gradients. */
    private static final int PANELS = 4;

    /** Columns before a panel's first that a group's words may begin with. */
    private static final int MOST_SKIPPED = 3;

    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private BackwardGemm() {}

    static int mostTokens(long outs) {
        return Gemm.mostTokens((int) Math.min(outs, Integer.MAX_VALUE));
    }

    static void reserve(List<LinearGradient> layers, PackedInput target) {
        int tokens = Math.toIntExact(layers.get(0).gradient().rows());
        target.reserve(Gemm.packedFloats(tokens, Math.toIntExact(LinearGradient.outs(layers))), 0);
    }

    /** The gradients of the layers one after the other, each as {@link Gemm#pack} orders it. */
    static void pack(List<LinearGradient> layers, int part, int parts, PackedInput target) {
        int padded = Gemm.padded(Math.toIntExact(layers.get(0).gradient().rows()));
        int at = 0;
        for (LinearGradient layer : layers) {
            Gemm.pack(layer.gradient(), part, parts, target.floats(), at);
            at += padded * layer.gradient().columns();
        }
    }

    /** Same contract as {@link org.duoattention.backend.cpu.kernel.GradientKernels#linears}. */
    static void linears(
            List<LinearGradient> layers, float[] packed, Matrix out, int from, int to, Workspace workspace) {
        int tokens = Math.toIntExact(out.rows());
        int padded = Gemm.padded(tokens);
        // A square of a quantised weight comes first: that is where it is unpacked to.
        int b = Workspace.ALIGNED_FLOAT + (PANEL + MOST_SKIPPED + 1) * PANEL;
        int c = b + DEPTH * PANEL;
        float[] scratch = workspace.floats(c + PANELS * padded * PANEL);
        for (int column = from; column < to; column += PANELS * PANEL) {
            int panels = Math.min(PANELS, (to - column + PANEL - 1) / PANEL);
            Arrays.fill(scratch, c, c + panels * padded * PANEL, 0f);
            int layerAt = 0;
            for (LinearGradient layer : layers) {
                int outs = layer.gradient().columns();
                for (int k = 0; k < outs; k += DEPTH) {
                    int depth = Math.min(DEPTH, outs - k);
                    for (int p = 0; p < panels; p++) {
                        int first = column + p * PANEL;
                        panel(layer.weight(), k, depth, first, Math.min(PANEL, to - first), scratch, b);
                        int sums = c + p * padded * PANEL;
                        for (int t = 0; t < tokens; t += PanelKernel.TOKENS) {
                            int width = PanelKernel.width(tokens - t);
                            int x = layerAt + t * outs + k * width;
                            PanelKernel.run(width, packed, x, scratch, b, scratch, sums + t * PANEL, depth);
                        }
                    }
                }
                layerAt += padded * outs;
            }
            for (int p = 0; p < panels; p++) {
                int first = column + p * PANEL;
                int count = Math.min(PANEL, to - first);
                int sums = c + p * padded * PANEL;
                for (int t = 0; t < tokens; t++) {
                    MemorySegment.copy(scratch, sums + t * PANEL, out.segment(), F32, out.at(t, first), count);
                }
            }
        }
    }

    /** Rows {@code k .. k + depth - 1} of {@code count} columns as {@code [row][PANEL]}; lanes after the last are zero. */
    private static void panel(Weight weight, int k, int depth, int column, int count, float[] target, int at) {
        switch (weight) {
            case QuantizedWeight q -> quantized(q, k, depth, column, count, target, at);
            case Matrix m
            when count == PANEL ->
                WidenPanel.run(m.dtype(), m.segment(), m.at(k, column), m.at(1, 0) - m.at(0, 0), depth, target, at);
            case Matrix m -> {
                for (int r = 0; r < depth; r++) {
                    int to = at + r * PANEL;
                    Widen.run(m.dtype(), m.segment(), m.at(k + r, column), count, target, to);
                    Arrays.fill(target, to + count, to + PANEL, 0f);
                }
            }
        }
    }

    /** Squares of {@link QuantizedPanel}, whose lanes are rows, transposed. */
    private static void quantized(
            QuantizedWeight weight, int k, int depth, int column, int count, float[] target, int at) {
        int skipped = column % weight.format().group() & MOST_SKIPPED;
        for (int block = 0; block < depth; block += PANEL) {
            QuantizedPanel.run(weight, k + block, column - skipped, skipped + count, target);
            int rows = Math.min(PANEL, depth - block);
            int to = at + block * PANEL;
            for (int r = 0; r < rows; r++) {
                for (int c = 0; c < count; c++) {
                    target[to + r * PANEL + c] = target[(skipped + c) * PANEL + r];
                }
                Arrays.fill(target, to + r * PANEL + count, to + (r + 1) * PANEL, 0f);
            }
        }
    }
}
