package org.duoattention.backend.cpu.vector;

import static org.duoattention.backend.cpu.vector.Simd.L;
import static org.duoattention.backend.cpu.vector.Simd.PANEL;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.duoattention.backend.cpu.kernel.AttentionTask;
import org.duoattention.backend.cpu.kernel.KvHead;
import org.duoattention.backend.cpu.kernel.SlotRuns;
import org.duoattention.backend.cpu.kernel.Workspace;
import org.jspecify.annotations.Nullable;

/**
 * Attention in one pass over keys and values with an online softmax (arXiv 1805.02867; blocked as in FlashAttention, arXiv
 * 2205.14135). Rows of the scratch matrices are (query row, head of the group) pairs, heads fastest; a decode step is the
 * case of one query row.
 *
 * <p>With many rows, a block of {@link #BLOCK} slots is widened into scratch once and stays in the first-level cache while all rows
 * use it. With few, keys and values are multiplied as they arrive from memory, which overlaps with the arithmetic: 0.60
 * against 0.50 of the speed of reading (bfloat16, one head per group), with nothing to choose for binary16. Touching the next lines in a
 * burst beforehand gained 5 % at most and was left out.
 */
final class Attention {
    /** Query rows per call in a prefill. */
    static final int ROWS = 64;

    /** Slots per block that is widened; a multiple of every panel. */
    private static final int BLOCK = 64;

    /** Slots per block that is not: longer streams of ascending addresses suit the processor's prefetching. */
    private static final int DIRECT_BLOCK = 256;

    /** Most rows (of all heads of the group) for which keys and values are not widened first. */
    private static final int DIRECT_ROWS = 8;

    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final AttentionTask task;
    private final KvHead head;
    private final int dim;
    /** {@code dim} rounded up to whole panels: length of a row of value sums. */
    private final int width;

    private final int group;
    private final long fromRow;
    private final int rows;

    private final int bytes;
    /** Whether keys and values are multiplied as they come from memory instead of being widened into scratch. */
    private final boolean direct;
    /** Slots per block. */
    private final int block;

    private final float[] scratch;
    /** {@code [rows * group][dim]}: the queries, scaled. */
    private final int queries;
    /** {@code [rows * group][block]}: products, then probabilities. */
    private final int products;
    /** {@code [rows * group][width]}: sums of values. */
    private final int sums;
    /** {@code [rows * group][L]}: sums of probabilities, lane by lane. */
    private final int norms;
    /** {@code [rows * group]}: largest product so far. */
    private final int tops;
    /** {@code [panel][dim][PANEL]}: keys of the block. */
    private final int keys;
    /**
     * {@code [block][dim]}: values of the block. The last panel of a row may reach into the next one; these lanes are not
     * used.
     */
    private final int values;

    private Attention(AttentionTask task, long fromRow, long toRow, Workspace workspace) {
        this.task = task;
        this.fromRow = fromRow;
        head = task.head();
        dim = head.headDim();
        width = (dim + PANEL - 1) / PANEL * PANEL;
        group = task.group();
        rows = Math.toIntExact(toRow - fromRow);
        bytes = head.dtype().bytes();
        int all = Math.multiplyExact(rows, group);
        // A last panel that reaches past the row would reach past the memory in the last slot.
        direct = all <= DIRECT_ROWS && dim % PANEL == 0;
        block = direct ? DIRECT_BLOCK : BLOCK;
        queries = 0;
        products = queries + all * dim;
        sums = products + all * block;
        norms = sums + all * width;
        tops = norms + all * L;
        keys = tops + all;
        values = keys + block * dim;
        scratch = workspace.floats(direct ? keys : values + block * dim + PANEL);
    }

    /** Same contract as {@link org.duoattention.backend.cpu.kernel.CpuKernels#attend}. */
    static void attend(
            AttentionTask task,
            long fromRow,
            long toRow,
            long fromSlot,
            long toSlot,
            @Nullable MemorySegment partial,
            Workspace workspace) {
        Attention attention = new Attention(task, fromRow, toRow, workspace);
        attention.begin();
        attention.slots(fromSlot, toSlot);
        attention.end(partial);
    }

    private void begin() {
        for (int r = 0; r < rows; r++) {
            long at = task.q().at(fromRow + r, task.column());
            MemorySegment.copy(task.q().segment(), F32, at, scratch, queries + r * group * dim, group * dim);
        }
        for (int i = queries; i < products; i++) {
            scratch[i] *= task.scale();
        }
        Arrays.fill(scratch, sums, tops, 0f);
        Arrays.fill(scratch, tops, keys, Float.NEGATIVE_INFINITY);
    }

    private void slots(long from, long to) {
        SlotRuns runs = task.runs();
        long end = Math.min(to, task.visibleEnd(fromRow + rows - 1));
        long ordinal = from;
        while (ordinal < end) {
            long slot = runs.slot(ordinal);
            // Blocks begin at panels; the slots before this one in its panel belong to others.
            int skip = (int) (slot % PANEL);
            int count = (int) Math.min(block - skip, Math.min(end, runs.runEnd(ordinal)) - ordinal);
            visit(ordinal, slot - skip, skip, count);
            ordinal += count;
        }
    }

    /** Slots {@code base + skip .. + count - 1}, whose ordinals start at {@code ordinal}. */
    private void visit(long ordinal, long base, int skip, int count) {
        long end = ordinal + count;
        // Rows from `first` on see the block's first slot; rows from `last` on have left it behind, unless it has
        // sinks.
        int first = Math.clamp(ordinal + 1 - task.causalEnd() - fromRow, 0, rows);
        int last = task.always() > ordinal ? rows : Math.clamp(end - task.windowStart() - fromRow, 0, rows);
        if (first >= last) {
            return;
        }
        int lanes = (skip + count + PANEL - 1) / PANEL * PANEL;
        int begin = first * group;
        int some = (last - first) * group;
        if (!direct) {
            widen(base, skip, count, lanes);
        }
        Arrays.fill(scratch, products + begin * block, products + (begin + some) * block, 0f);
        for (int p = 0; p < lanes / PANEL; p++) {
            int q = queries + begin * dim;
            int s = products + begin * block + p * PANEL;
            if (direct) {
                long x = PanelLayout.panel(head, base + p * PANEL);
                direct(some, q, dim, x, PANEL * bytes, s, block, dim);
            } else {
                int x = keys + p * PANEL * dim;
                MicroKernel.rows(some, scratch, q, dim, scratch, x, PANEL, scratch, s, block, dim);
            }
        }
        for (int r = first; r < last; r++) {
            softmax(fromRow + r, r * group, ordinal, skip, count, lanes);
        }
        for (int p = 0; p < width / PANEL; p++) {
            int s = products + begin * block + skip;
            int o = sums + begin * width + p * PANEL;
            if (direct) {
                long x = PanelLayout.value(head, base + skip) + (long) p * PANEL * bytes;
                direct(some, s, block, x, dim * bytes, o, width, count);
            } else {
                int x = values + skip * dim + p * PANEL;
                MicroKernel.rows(some, scratch, s, block, scratch, x, dim, scratch, o, width, count);
            }
        }
    }

    private void direct(int rows, int a, int lda, long x, int ldx, int c, int ldc, int depth) {
        MemorySegment memory = head.segment();
        switch (head.dtype()) {
            case F32 -> DirectF32.rows(rows, scratch, a, lda, memory, x, ldx, scratch, c, ldc, depth);
            case F16 -> DirectF16.rows(rows, scratch, a, lda, memory, x, ldx, scratch, c, ldc, depth);
            default -> DirectBf16.rows(rows, scratch, a, lda, memory, x, ldx, scratch, c, ldc, depth);
        }
    }

    private void widen(long base, int skip, int count, int lanes) {
        MemorySegment memory = head.segment();
        Widen.run(head.dtype(), memory, PanelLayout.panel(head, base), lanes * dim, scratch, keys);
        long rows = PanelLayout.value(head, base + skip);
        Widen.run(head.dtype(), memory, rows, count * dim, scratch, values + skip * dim);
    }

    /** Products of one query row become probabilities, relative to the largest product so far. */
    private void softmax(long row, int index, long ordinal, int skip, int count, int lanes) {
        // In lanes: visible are those below `sinks` and those from `from` to `to`.
        int to = skip + Math.clamp(task.visibleEnd(row) - ordinal, 0, count);
        int from = skip + Math.clamp(task.windowFrom(row) - ordinal, 0, count);
        int sinks = Math.min(to, skip + Math.clamp(task.always() - ordinal, 0, count));
        for (int g = 0; g < group; g++) {
            int s = products + (index + g) * block;
            hide(s, 0, skip);
            hide(s, sinks, Math.min(from, to));
            hide(s, to, lanes);
            int t = tops + index + g;
            float before = scratch[t];
            float top = Softmax.max(scratch, s, lanes, before);
            if (top != before) {
                scratch[t] = top;
                float factor = (float) Math.exp(before - top);
                Softmax.scale(scratch, norms + (index + g) * L, L, factor);
                Softmax.scale(scratch, sums + (index + g) * width, width, factor);
            }
            if (top == Float.NEGATIVE_INFINITY) {
                Arrays.fill(scratch, s, s + lanes, 0f);
            } else {
                Exp.subtractSum(scratch, s, lanes, top, scratch, norms + (index + g) * L);
            }
        }
    }

    private void hide(int s, int from, int to) {
        for (int i = from; i < to; i++) {
            scratch[s + i] = Float.NEGATIVE_INFINITY;
        }
    }

    private void end(@Nullable MemorySegment partial) {
        for (int i = 0; i < rows * group; i++) {
            float norm = 0;
            for (int lane = 0; lane < L; lane++) {
                norm += scratch[norms + i * L + lane];
            }
            int from = sums + i * width;
            if (partial == null) {
                MemorySegment out = task.out().segment();
                long at = task.out().at(fromRow + i / group, task.column() + (long) (i % group) * dim);
                Softmax.scale(scratch, from, width, 1 / norm);
                MemorySegment.copy(scratch, from, out, F32, at, dim);
            } else {
                long at = 4L * i * (dim + 2);
                partial.set(F32, at, scratch[tops + i]);
                partial.set(F32, at + 4, norm);
                MemorySegment.copy(scratch, from, partial, F32, at + 8, dim);
            }
        }
    }
}
