package org.duoattention.backend.cpu.vector;

import static org.duoattention.backend.cpu.vector.Simd.PANEL;

import java.lang.foreign.MemorySegment;
import org.duoattention.backend.cpu.kernel.KvHead;

/** With F32, F16 or BF16 elements. */
final class DenseProducts implements DirectProducts {
    private final KvHead head;
    private final int dim;
    private final int bytes;
    private final Attention.Scratch at;

    DenseProducts(KvHead head, Attention.Scratch at) {
        this.head = head;
        this.at = at;
        dim = head.headDim();
        bytes = head.dtype().bytes();
    }

    @Override
    public int unit() {
        return PANEL;
    }

    @Override
    public void keys(int first, int rows, long base, int lanes) {
        for (int p = 0; p < lanes; p += PANEL) {
            long x = PanelLayout.panel(head, base + p);
            int s = at.products() + first * Attention.BLOCK + p;
            product(
                    rows, at.queries() + first * at.queryStride(), at.queryStride(), x, PANEL * bytes, s,
                    Attention.BLOCK, dim);
        }
    }

    @Override
    public void values(int first, int rows, long base, int skip, int count) {
        for (int d = 0; d < dim; d += PANEL) {
            long x = PanelLayout.value(head, base + skip) + (long) d * bytes;
            int s = at.products() + first * Attention.BLOCK + skip;
            product(rows, s, Attention.BLOCK, x, dim * bytes, at.sums() + first * dim + d, dim, count);
        }
    }

    private void product(int rows, int a, int lda, long x, int ldx, int c, int ldc, int depth) {
        MemorySegment memory = head.segment();
        float[] m = at.memory();
        switch (head.dtype()) {
            case F32 -> DirectF32.rows(rows, m, a, lda, memory, x, ldx, m, c, ldc, depth);
            case F16 -> DirectF16.rows(rows, m, a, lda, memory, x, ldx, m, c, ldc, depth);
            default -> DirectBf16.rows(rows, m, a, lda, memory, x, ldx, m, c, ldc, depth);
        }
    }
}
