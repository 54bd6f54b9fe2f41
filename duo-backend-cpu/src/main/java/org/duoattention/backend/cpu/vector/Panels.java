package org.duoattention.backend.cpu.vector;

import static org.duoattention.backend.cpu.vector.Simd.PANEL;
import static org.duoattention.backend.cpu.vector.Tile.BLOCK;

import java.util.Arrays;
import org.duoattention.backend.cpu.kernel.KvHead;

/** A block of keys and values as floats in scratch, in the order that {@link Tile} reads. */
final class Panels {
    private Panels() {}

    /**
     * Keys of {@code lanes} slots from {@code base} on, as {@code [panel][dim][PANEL]}.
     *
     * @param base a multiple of {@link Simd#PANEL}
     * @param lanes a multiple of {@link Simd#PANEL}
     */
    static void keys(KvHead head, long base, int lanes, float[] target, int at) {
        Widen.run(head.dtype(), head.segment(), PanelLayout.panel(head, base), lanes * head.headDim(), target, at);
    }

    /**
     * Values of {@code count} slots from {@code base + skip} on, as {@code [panel][BLOCK][PANEL]} with the slot {@code base}
     * first; the last panel is padded with zeros.
     */
    static void values(KvHead head, long base, int skip, int count, float[] target, int at) {
        int dim = head.headDim();
        int bytes = head.dtype().bytes();
        for (int j = skip; j < skip + count; j++) {
            long from = PanelLayout.value(head, base + j);
            for (int d = 0; d < dim; d += PANEL) {
                int to = at + d * BLOCK + j * PANEL;
                int some = Math.min(PANEL, dim - d);
                Widen.run(head.dtype(), head.segment(), from + (long) d * bytes, some, target, to);
                Arrays.fill(target, to + some, to + PANEL, 0f);
            }
        }
    }
}
