package org.duoattention.backend.cpu.vector;

import static org.duoattention.backend.cpu.vector.Attention.BLOCK;
import static org.duoattention.backend.cpu.vector.Simd.PANEL;

import java.lang.foreign.MemorySegment;
import org.duoattention.backend.cpu.kernel.KvHead;

/** With F32, F16 or BF16 elements. */
final class DenseProducts implements DirectProducts {
    private final Attention.Scratch at;
    private int dim;
    private int bytes;

    DenseProducts(Attention.Scratch at) {
        this.at = at;
    }

    @Override
    public void prepare(KvHead head, int free) {
        dim = head.headDim();
        bytes = head.dtype().bytes();
    }

    @Override
    public int unit() {
        return PANEL;
    }

    @Override
    public void keys(KvHead head, long base, int lanes) {
        int tile = at.tile;
        MemorySegment x = head.segment();
        float[] m = at.memory;
        for (int p = 0; p < lanes; p += PANEL) {
            long xo = PanelLayout.panel(head, base + p);
            for (int r = 0; r < at.rows; r += tile) {
                int q = at.queries + r * dim;
                int s = at.products + r * BLOCK + p;
                switch (head.dtype()) {
                    case F32 -> DirectF32.keys(tile, m, q, x, xo, dim, at.starts + r, s);
                    case F16 -> DirectF16.keys(tile, m, q, x, xo, dim, at.starts + r, s);
                    default -> DirectBf16.keys(tile, m, q, x, xo, dim, at.starts + r, s);
                }
            }
        }
    }

    @Override
    public void values(KvHead head, long base, int skip, int count) {
        int tile = at.tile;
        int ldx = dim * bytes;
        MemorySegment x = head.segment();
        float[] m = at.memory;
        for (int d = 0; d < dim; d += PANEL) {
            long xo = PanelLayout.value(head, base + skip) + (long) d * bytes;
            for (int r = 0; r < at.rows; r += tile) {
                int p = at.products + r * BLOCK + skip;
                int o = at.sums + r * dim + d;
                switch (head.dtype()) {
                    case F32 -> DirectF32.values(tile, m, p, x, xo, ldx, count, o, dim);
                    case F16 -> DirectF16.values(tile, m, p, x, xo, ldx, count, o, dim);
                    default -> DirectBf16.values(tile, m, p, x, xo, ldx, count, o, dim);
                }
            }
        }
    }
}
