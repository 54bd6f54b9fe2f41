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
        int panels = lanes / PANEL;
        int half = at.twoStreams() ? panels / 2 : 0;
        for (int p = 0; p < half; p++) {
            twoPanels(head, base, p * PANEL, (p + half) * PANEL);
        }
        for (int p = 2 * half; p < panels; p++) {
            onePanel(head, base, p * PANEL);
        }
    }

    private void onePanel(KvHead head, long base, int panel) {
        int tile = at.tile;
        MemorySegment x = head.segment();
        float[] m = at.memory;
        long xo = PanelLayout.panel(head, base + panel);
        for (int r = 0; r < at.rows; r += tile) {
            int q = at.queries + r * dim;
            int start = at.starts + r;
            int s = at.products + r * BLOCK + panel;
            switch (head.dtype()) {
                case F32 -> DirectF32.keys(tile, m, q, x, xo, dim, start, s);
                case F16 -> DirectF16.keys(tile, m, q, x, xo, dim, start, s);
                default -> DirectBf16.keys(tile, m, q, x, xo, dim, start, s);
            }
        }
    }

    private void twoPanels(KvHead head, long base, int panel, int other) {
        int tile = at.tile;
        MemorySegment x = head.segment();
        float[] m = at.memory;
        long xo = PanelLayout.panel(head, base + panel);
        long yo = PanelLayout.panel(head, base + other);
        for (int r = 0; r < at.rows; r += tile) {
            int q = at.queries + r * dim;
            int start = at.starts + r;
            int s = at.products + r * BLOCK + panel;
            int t = at.products + r * BLOCK + other;
            switch (head.dtype()) {
                case F32 -> DirectF32.twoKeys(tile, m, q, x, xo, yo, dim, start, s, t);
                case F16 -> DirectF16.twoKeys(tile, m, q, x, xo, yo, dim, start, s, t);
                default -> DirectBf16.twoKeys(tile, m, q, x, xo, yo, dim, start, s, t);
            }
        }
    }

    @Override
    public void values(KvHead head, long base, int skip, int count) {
        int half = at.twoStreams() ? count / 2 : 0;
        int d = 0;
        for (; half > 0 && d <= dim - 2 * PANEL; d += 2 * PANEL) {
            twoValues(head, base, skip, half, d);
            if (2 * half < count) {
                values(head, base, skip + 2 * half, 1, d);
                values(head, base, skip + 2 * half, 1, d + PANEL);
            }
        }
        for (; d < dim; d += PANEL) {
            values(head, base, skip, count, d);
        }
    }

    private void values(KvHead head, long base, int skip, int count, int d) {
        int tile = at.tile;
        int ldx = dim * bytes;
        MemorySegment x = head.segment();
        float[] m = at.memory;
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

    /** Two panels of dimensions, slots {@code skip .. skip + 2 half - 1}. */
    private void twoValues(KvHead head, long base, int skip, int half, int d) {
        int tile = at.tile;
        int ldx = dim * bytes;
        MemorySegment x = head.segment();
        float[] m = at.memory;
        long xo = PanelLayout.value(head, base + skip) + (long) d * bytes;
        long yo = PanelLayout.value(head, base + skip + half) + (long) d * bytes;
        for (int r = 0; r < at.rows; r += tile) {
            int p = at.products + r * BLOCK + skip;
            int o = at.sums + r * dim + d;
            switch (head.dtype()) {
                case F32 -> DirectF32.twoValues(tile, m, p, p + half, x, xo, yo, ldx, half, o, dim);
                case F16 -> DirectF16.twoValues(tile, m, p, p + half, x, xo, yo, ldx, half, o, dim);
                default -> DirectBf16.twoValues(tile, m, p, p + half, x, xo, yo, ldx, half, o, dim);
            }
        }
    }
}
