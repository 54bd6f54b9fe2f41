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
    /** Slots per block: long streams of ascending addresses suit the processor's prefetching. */
    private static final int BLOCK = 256;

    /** Most rows (of all heads of the group) for which keys and values are not widened first. */
    private static final int DIRECT_ROWS = 8;

    private static final double LN2 = Math.log(2);

    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final AttentionTask task;
    private final KvHead head;
    private final int dim;

    private final int group;
    private final long fromRow;
    private final int rows;

    private final int bytes;

    private final float[] scratch;
    /** {@code [rows * group][dim]}: the queries, scaled. */
    private final int queries;
    /** {@code [rows * group][block]}: products, then probabilities. */
    private final int products;
    /** {@code [rows * group][dim]}: sums of values. */
    private final int sums;
    /** {@code [rows * group][L]}: sums of probabilities, lane by lane. */
    private final int norms;
    /** {@code [rows * group]}: largest product so far. */
    private final int tops;

    private Attention(AttentionTask task, long fromRow, long toRow, Workspace workspace) {
        this.task = task;
        this.fromRow = fromRow;
        head = task.head();
        dim = head.headDim();
        group = task.group();
        rows = Math.toIntExact(toRow - fromRow);
        bytes = head.dtype().bytes();
        int all = Math.multiplyExact(rows, group);
        queries = 0;
        products = queries + all * dim;
        sums = products + all * BLOCK;
        norms = sums + all * dim;
        tops = norms + all * L;
        scratch = workspace.floats(tops + all);
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
        long all = (toRow - fromRow) * task.group();
        // A last panel that reaches past the row would reach past the memory in the last slot.
        if (all > DIRECT_ROWS || task.head().headDim() % PANEL != 0 || task.head().isQuantized()) {
            BlockedAttention.attend(task, fromRow, toRow, fromSlot, toSlot, partial, workspace);
            return;
        }
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
            scratch[i] *= task.scale() * Exp2.LOG2E;
        }
        Arrays.fill(scratch, sums, tops, 0f);
        Arrays.fill(scratch, tops, tops + rows * group, Float.NEGATIVE_INFINITY);
    }

    private void slots(long from, long to) {
        SlotRuns runs = task.runs();
        long end = Math.min(to, task.visibleEnd(fromRow + rows - 1));
        long ordinal = from;
        while (ordinal < end) {
            long slot = runs.slot(ordinal);
            // Blocks begin at panels; the slots before this one in its panel belong to others.
            int skip = (int) (slot % PANEL);
            int count = (int) Math.min(BLOCK - skip, Math.min(end, runs.runEnd(ordinal)) - ordinal);
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
        Arrays.fill(scratch, products + begin * BLOCK, products + (begin + some) * BLOCK, 0f);
        for (int p = 0; p < lanes / PANEL; p++) {
            int q = queries + begin * dim;
            int s = products + begin * BLOCK + p * PANEL;
            long x = PanelLayout.panel(head, base + p * PANEL);
            direct(some, q, dim, x, PANEL * bytes, s, BLOCK, dim);
        }
        for (int r = first; r < last; r++) {
            softmax(fromRow + r, r * group, ordinal, skip, count, lanes);
        }
        for (int p = 0; p < dim / PANEL; p++) {
            int s = products + begin * BLOCK + skip;
            int o = sums + begin * dim + p * PANEL;
            long x = PanelLayout.value(head, base + skip) + (long) p * PANEL * bytes;
            direct(some, s, BLOCK, x, dim * bytes, o, dim, count);
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

    /** Products of one query row become probabilities, relative to the largest product so far. */
    private void softmax(long row, int index, long ordinal, int skip, int count, int lanes) {
        // In lanes: visible are those below `sinks` and those from `from` to `to`.
        int to = skip + Math.clamp(task.visibleEnd(row) - ordinal, 0, count);
        int from = skip + Math.clamp(task.windowFrom(row) - ordinal, 0, count);
        int sinks = Math.min(to, skip + Math.clamp(task.always() - ordinal, 0, count));
        for (int g = 0; g < group; g++) {
            int s = products + (index + g) * BLOCK;
            hide(s, 0, skip);
            hide(s, sinks, Math.min(from, to));
            hide(s, to, lanes);
            int t = tops + index + g;
            float before = scratch[t];
            float top = Softmax.max(scratch, s, lanes, Math.max(before, Exp2.HIDDEN));
            if (top == Exp2.HIDDEN) {
                Arrays.fill(scratch, s, s + lanes, 0f);
                continue;
            }
            if (top != before) {
                scratch[t] = top;
                float factor = (float) Math.exp((before - top) * LN2);
                Softmax.scale(scratch, norms + (index + g) * L, L, factor);
                Softmax.scale(scratch, sums + (index + g) * dim, dim, factor);
            }
            Softmax.add(scratch, s, lanes, -top);
            Exp2.rows(scratch, s, 1, BLOCK, lanes, norms + (index + g) * L);
        }
    }

    private void hide(int s, int from, int to) {
        for (int i = from; i < to; i++) {
            scratch[s + i] = Exp2.HIDDEN;
        }
    }

    private void end(@Nullable MemorySegment partial) {
        for (int i = 0; i < rows * group; i++) {
            float norm = 0;
            for (int lane = 0; lane < L; lane++) {
                norm += scratch[norms + i * L + lane];
            }
            int from = sums + i * dim;
            if (partial == null) {
                MemorySegment out = task.out().segment();
                long at = task.out().at(fromRow + i / group, task.column() + (long) (i % group) * dim);
                Softmax.scale(scratch, from, dim, 1 / norm);
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
