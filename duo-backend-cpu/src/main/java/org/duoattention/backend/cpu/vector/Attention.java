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
 * Attention in one pass over keys and values with an online softmax (arXiv 1805.02867). Rows of the scratch matrices are (query row,
 * head of the group) pairs, heads fastest; a decode step is the case of one query row.
 *
 * <p>Many rows go to {@link BlockedAttention}, which widens a block of slots into scratch for all of them. For few, done here, keys and
 * values are multiplied as they arrive from memory ({@link DirectProducts}). Products start at minus the row's reference, as
 * there.
 *
 * <p>One object per thread is used for one call after the other.
 */
final class Attention {
    /** Slots per block: long streams of ascending addresses suit the processor's prefetching. */
    static final int BLOCK = 256;

    /** Most rows (of all heads of the group) for which keys and values are not widened first. */
    private static final int DIRECT_ROWS = 8;

    /** Vector registers: 32 with AVX-512, 16 with AVX2 and SSE. */
    private static final int REGISTERS = L == 16 ? 32 : 16;

    private static final double LN2 = Math.log(2);

    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final Scratch at = new Scratch();
    private final CodedProducts coded = new CodedProducts(at);
    private final DenseProducts dense = new DenseProducts(at);

    private long fromRow;
    private int rows;
    private int group;
    /** Rows of all heads. */
    private int all;

    private int dim;
    private float[] scratch = {};
    private DirectProducts direct = dense;
    /** {@code [rows * group][L]}: sums of probabilities, lane by lane. */
    private int norms;
    /** {@code [rows * group]}: minus the references. */
    private int starts;
    /** {@code [rows * group]}: 1 for rows that have a reference because they have seen something. */
    private int seen;

    /** Where things lie in scratch. */
    static final class Scratch {
        /** The array. */
        float[] memory = {};
        /** Number of rows, heads of the group counted, rounded up to tiles. */
        int rows;
        /** Rows that are multiplied together: 1, 2 or 4. */
        int tile;
        /** {@code [rows / tile][dim][tile]}: the queries, scaled. */
        int queries;
        /** {@code [rows][BLOCK]}: products, then probabilities. */
        int products;
        /** {@code [rows][dim]}: sums of values. */
        int sums;
        /** {@code [rows]}: minus the references. */
        int starts;

        /** Whether the accumulators of two streams of memory fit the registers. */
        boolean twoStreams() {
            return 4 * tile + 5 <= REGISTERS;
        }

        /** Index of an element of a query. */
        int query(int row, int d, int dim) {
            return queries + row / tile * tile * dim + d * tile + row % tile;
        }
    }

    private Attention() {}

    /** Divides the scratch memory for rows of a task. */
    private void prepare(AttentionTask task, long first, long end, Workspace workspace) {
        KvHead head = task.head();
        fromRow = first;
        dim = head.headDim();
        group = task.group();
        rows = Math.toIntExact(end - first);
        all = Math.multiplyExact(rows, group);
        int tile = Math.clamp(all, 1, 4) == 3 ? 4 : Math.clamp(all, 1, 4);
        int padded = (all + tile - 1) / tile * tile;
        at.rows = padded;
        at.tile = tile;
        at.products = Workspace.ALIGNED_FLOAT;
        at.sums = at.products + padded * BLOCK;
        norms = at.sums + padded * dim;
        at.queries = norms + padded * L;
        starts = at.queries + padded * dim;
        at.starts = starts;
        seen = starts + padded;
        int free = (seen + padded + 15 & -16) + Workspace.ALIGNED_FLOAT;
        scratch = workspace.floats(free + CodedProducts.extra(padded, dim));
        at.memory = scratch;
        direct = head.isQuantized() ? coded : dense;
        direct.prepare(head, free);
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
        if ((toRow - fromRow) * task.group() > DIRECT_ROWS || !suits(task.head())) {
            BlockedAttention.attend(task, fromRow, toRow, fromSlot, toSlot, partial, workspace);
            return;
        }
        Attention attention = workspace.kept(Attention.class, Attention::new);
        attention.prepare(task, fromRow, toRow, workspace);
        attention.begin(task);
        attention.slots(task, fromSlot, toSlot);
        attention.end(task, partial);
    }

    private static boolean suits(KvHead head) {
        // A last panel that reaches past the row would reach past the memory in the last slot.
        return head.isQuantized() ? CodedProducts.suits(head) : head.headDim() % PANEL == 0;
    }

    private void begin(AttentionTask task) {
        Arrays.fill(scratch, at.sums, seen + at.rows, 0f);
        float scale = task.scale() * Exp2.LOG2E;
        for (int i = 0; i < all; i++) {
            long from = task.q().at(fromRow + i / group, task.column() + (long) (i % group) * dim);
            for (int d = 0; d < dim; d++) {
                scratch[at.query(i, d, dim)] = task.q().segment().get(F32, from + 4L * d) * scale;
            }
        }
        direct.begin();
    }

    private void slots(AttentionTask task, long from, long to) {
        SlotRuns runs = task.runs();
        long end = Math.min(to, task.visibleEnd(fromRow + rows - 1));
        long ordinal = from;
        while (ordinal < end) {
            long slot = runs.slot(ordinal);
            // The slots before this one in its unit belong to others.
            int skip = (int) (slot % direct.unit());
            int count = (int) Math.min(BLOCK - skip, Math.min(end, runs.runEnd(ordinal)) - ordinal);
            visit(task, ordinal, slot - skip, skip, count);
            ordinal += count;
        }
    }

    /** Slots {@code base + skip .. + count - 1}, whose ordinals start at {@code ordinal}. */
    private void visit(AttentionTask task, long ordinal, long base, int skip, int count) {
        long end = ordinal + count;
        // Rows from `first` on see the block's first slot; rows from `last` on have left it behind, unless it has
        // sinks. Some other row may see nothing of it, which hiding takes care of.
        long first = Math.max(0, ordinal + 1 - task.causalEnd() - fromRow);
        long last = task.always() > ordinal ? rows : Math.min(rows, end - task.windowStart() - fromRow);
        if (first >= last) {
            return;
        }
        int lanes = (skip + count + PANEL - 1) / PANEL * PANEL;
        direct.keys(task.head(), base, lanes);
        for (int i = 0; i < all; i++) {
            softmax(task, i, ordinal, skip, count, lanes);
        }
        direct.values(task.head(), base, skip, count);
    }

    /** Products of one row become probabilities, relative to its reference, which moves if need be. */
    private void softmax(AttentionTask task, int index, long ordinal, int skip, int count, int lanes) {
        long row = fromRow + index / group;
        // In lanes: visible are those below `sinks` and those from `from` to `to`.
        int to = skip + Math.clamp(task.visibleEnd(row) - ordinal, 0, count);
        int from = skip + Math.clamp(task.windowFrom(row) - ordinal, 0, count);
        int sinks = Math.min(to, skip + Math.clamp(task.always() - ordinal, 0, count));
        int s = at.products + index * BLOCK;
        hide(s, 0, skip);
        hide(s, sinks, Math.min(from, to));
        hide(s, to, lanes);
        boolean fresh = scratch[seen + index] == 0;
        if (fresh || Softmax.exceeds(scratch, s, lanes)) {
            float top = Softmax.max(scratch, s, lanes, Exp2.HIDDEN);
            if (top != Exp2.HIDDEN) {
                move(index, s, lanes, top, fresh);
            }
        }
        Exp2.rows(scratch, s, 1, BLOCK, lanes, norms + index * L);
    }

    private void move(int index, int s, int lanes, float top, boolean fresh) {
        float before = scratch[starts + index];
        float after = before - top;
        // What the reference moves by, as far as floats go.
        float step = before - after;
        scratch[starts + index] = after;
        scratch[seen + index] = 1;
        Softmax.add(scratch, s, lanes, -step);
        if (!fresh) {
            float factor = (float) Math.exp(-step * LN2);
            Softmax.scale(scratch, norms + index * L, L, factor);
            Softmax.scale(scratch, at.sums + index * dim, dim, factor);
        }
    }

    private void hide(int s, int from, int to) {
        for (int i = from; i < to; i++) {
            scratch[s + i] = Exp2.HIDDEN;
        }
    }

    private void end(AttentionTask task, @Nullable MemorySegment partial) {
        for (int i = 0; i < all; i++) {
            float norm = 0;
            for (int lane = 0; lane < L; lane++) {
                norm += scratch[norms + i * L + lane];
            }
            int from = at.sums + i * dim;
            if (partial == null) {
                MemorySegment out = task.out().segment();
                long to = task.out().at(fromRow + i / group, task.column() + (long) (i % group) * dim);
                Softmax.scale(scratch, from, dim, 1 / norm);
                MemorySegment.copy(scratch, from, out, F32, to, dim);
            } else {
                long to = 4L * i * (dim + 2);
                partial.set(F32, to, scratch[seen + i] == 0 ? Float.NEGATIVE_INFINITY : -scratch[starts + i]);
                partial.set(F32, to + 4, norm);
                MemorySegment.copy(scratch, from, partial, F32, to + 8, dim);
            }
        }
    }
}
