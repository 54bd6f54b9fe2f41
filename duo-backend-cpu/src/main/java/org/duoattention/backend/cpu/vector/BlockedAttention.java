package org.duoattention.backend.cpu.vector;

import static org.duoattention.backend.cpu.vector.Simd.L;
import static org.duoattention.backend.cpu.vector.Simd.PANEL;
import static org.duoattention.backend.cpu.vector.Tile.BLOCK;
import static org.duoattention.backend.cpu.vector.Tile.ROWS;

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
 * Attention of many query rows in one pass over keys and values (blocked as in FlashAttention, arXiv 2205.14135, with the online
 * softmax of arXiv 1805.02867). Rows are (query row, head of the group) pairs, heads fastest, in tiles of {@link Tile#ROWS}. A
 * block of {@link Tile#BLOCK} slots is widened into scratch once and stays in cache while all tiles use it.
 *
 * <p>Products are in base 2 and start at minus the row's reference, a product near the largest so far; so what a tile
 * computes is the exponent. While no product exceeds its reference by more than {@link Tile#HEADROOM} the reference stays and
 * nothing is rescaled, as in FlashAttention 4; the exact maximum is not needed for the result. A tile is looked at row by
 * row only where that fails, and where a mask cuts through it.
 */
final class BlockedAttention {
    /** Rows of all heads of the group in one call: enough that widening a block is little beside its use. */
    private static final int MOST_ROWS = 43 * 12;

    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final AttentionTask task;
    private final KvHead head;
    private final int dim;
    /** Panels of a value row; the last may be padded with zeros. */
    private final int panels;

    private final int group;
    private final long fromRow;
    /** Rows of all heads. */
    private final int rows;

    private final int tiles;
    private final float[] scratch;
    /** {@code [tile][dim][ROWS]}: the queries, scaled. */
    private final int queries;
    /** {@code [tile][ROWS]}: minus the references. */
    private final int starts;
    /** {@code [tile][ROWS]}: 1 for rows that have a reference because they have seen something. */
    private final int seen;
    /** {@code [tile][ROWS][L]}: sums of probabilities, lane by lane. */
    private final int norms;
    /** {@code [tile][panel][ROWS][PANEL]}: sums of values. */
    private final int sums;
    /** {@code [ROWS][BLOCK]}: products, then probabilities, of one tile. */
    private final int products;
    /** {@code [panel][dim][PANEL]}: keys of the block. */
    private final int keys;
    /** {@code [panel][BLOCK][PANEL]}: values of the block. */
    private final int values;

    private BlockedAttention(AttentionTask task, long fromRow, long toRow, Workspace workspace) {
        this.task = task;
        this.fromRow = fromRow;
        head = task.head();
        dim = head.headDim();
        panels = (dim + PANEL - 1) / PANEL;
        group = task.group();
        rows = Math.toIntExact((toRow - fromRow) * group);
        tiles = (rows + ROWS - 1) / ROWS;
        products = Workspace.ALIGNED_FLOAT;
        keys = products + ROWS * BLOCK;
        values = keys + BLOCK * dim;
        queries = align(values + panels * BLOCK * PANEL);
        sums = align(queries + tiles * dim * ROWS);
        norms = sums + tiles * panels * ROWS * PANEL;
        starts = norms + tiles * ROWS * L;
        seen = starts + tiles * ROWS;
        scratch = workspace.floats(seen + tiles * ROWS);
    }

    private static int align(int offset) {
        return (offset - Workspace.ALIGNED_FLOAT + 15 & -16) + Workspace.ALIGNED_FLOAT;
    }

    /** Query rows that one call should get. */
    static int rows(int group) {
        return Math.max(1, MOST_ROWS / group);
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
        BlockedAttention attention = new BlockedAttention(task, fromRow, toRow, workspace);
        attention.begin();
        attention.slots(fromSlot, toSlot);
        attention.end(partial);
    }

    private void begin() {
        Arrays.fill(scratch, queries, seen + tiles * ROWS, 0f);
        float scale = task.scale() * Exp2.LOG2E;
        float[] row = new float[group * dim];
        for (int i = 0; i < rows; i++) {
            int g = i % group;
            if (g == 0) {
                long at = task.q().at(fromRow + i / group, task.column());
                MemorySegment.copy(task.q().segment(), F32, at, row, 0, row.length);
            }
            int to = queries + i / ROWS * dim * ROWS + i % ROWS;
            for (int d = 0; d < dim; d++) {
                scratch[to + d * ROWS] = row[g * dim + d] * scale;
            }
        }
    }

    private long row(int index) {
        return fromRow + index / group;
    }

    private void slots(long from, long to) {
        SlotRuns runs = task.runs();
        long end = Math.min(to, task.visibleEnd(row(rows - 1)));
        long ordinal = from;
        while (ordinal < end) {
            long slot = runs.slot(ordinal);
            // Blocks begin at panels; the slots before this one in its panel belong to others.
            int skip = (int) (slot % PANEL);
            int count = (int) Math.min(BLOCK - skip, Math.min(end, runs.runEnd(ordinal)) - ordinal);
            block(ordinal, slot - skip, skip, count);
            ordinal += count;
        }
    }

    /** Slots {@code base + skip .. + count - 1}, whose ordinals start at {@code ordinal}. */
    private void block(long ordinal, long base, int skip, int count) {
        long end = ordinal + count;
        int lanes = (skip + count + PANEL - 1) / PANEL * PANEL;
        boolean widened = false;
        for (int t = 0; t < tiles; t++) {
            long first = row(t * ROWS);
            long last = row(Math.min(rows, t * ROWS + ROWS) - 1);
            if (task.visibleEnd(last) <= ordinal || ordinal >= task.always() && task.windowFrom(first) >= end) {
                continue;
            }
            if (!widened) {
                Panels.keys(head, base, lanes, scratch, keys);
                Panels.values(head, base, skip, count, scratch, values);
                widened = true;
            }
            boolean whole = count == BLOCK
                    && task.visibleEnd(first) >= end
                    && Math.max(ordinal, Math.min(end, task.always())) >= Math.min(end, task.windowFrom(last));
            tile(t, whole, ordinal, skip, count, lanes);
        }
    }

    private void tile(int t, boolean whole, long ordinal, int skip, int count, int lanes) {
        int q = queries + t * dim * ROWS;
        boolean calm = whole;
        for (int p = 0; p < lanes / PANEL; p++) {
            calm &= !Tile.products(scratch, q, keys + p * PANEL * dim, dim, starts + t * ROWS, products + p * PANEL);
        }
        int after = Math.min(rows, t * ROWS + ROWS);
        // The tile's last row sees the least of what is old, so when it has a reference the others do.
        if (!calm || scratch[seen + after - 1] == 0) {
            for (int i = t * ROWS; i < after; i++) {
                look(i, ordinal, skip, count);
            }
        }
        Exp2.rows(scratch, products, ROWS, BLOCK, BLOCK, norms + t * ROWS * L);
        for (int p = 0; p < panels; p++) {
            int v = values + (p * BLOCK + skip) * PANEL;
            Tile.values(scratch, products + skip, v, count, sums + (t * panels + p) * ROWS * PANEL);
        }
    }

    /** Hides what the row does not see and moves its reference to its largest product, if that is larger. */
    private void look(int index, long ordinal, int skip, int count) {
        int s = products + index % ROWS * BLOCK;
        long row = row(index);
        // In lanes: visible are those below `sinks` and those from `from` to `to`.
        int to = skip + Math.clamp(task.visibleEnd(row) - ordinal, 0, count);
        int from = skip + Math.clamp(task.windowFrom(row) - ordinal, 0, count);
        int sinks = Math.min(to, skip + Math.clamp(task.always() - ordinal, 0, count));
        Arrays.fill(scratch, s, s + skip, Exp2.HIDDEN);
        if (sinks < Math.min(from, to)) {
            Arrays.fill(scratch, s + sinks, s + Math.min(from, to), Exp2.HIDDEN);
        }
        Arrays.fill(scratch, s + to, s + BLOCK, Exp2.HIDDEN);
        boolean fresh = scratch[seen + index] == 0;
        float top = Softmax.max(scratch, s, BLOCK, Exp2.HIDDEN);
        if (top == Exp2.HIDDEN || !fresh && top <= 0) {
            return;
        }
        float before = scratch[starts + index];
        float after = before - top;
        // What the reference moves by, as far as floats go.
        float step = before - after;
        scratch[starts + index] = after;
        scratch[seen + index] = 1;
        Softmax.add(scratch, s, BLOCK, -step);
        if (!fresh) {
            float factor = (float) Math.exp(-step * Math.log(2));
            Softmax.scale(scratch, norms + index * L, L, factor);
            int sum = sums + (index / ROWS * panels * ROWS + index % ROWS) * PANEL;
            for (int p = 0; p < panels; p++) {
                Softmax.scale(scratch, sum + p * ROWS * PANEL, PANEL, factor);
            }
        }
    }

    private void end(@Nullable MemorySegment partial) {
        MemorySegment target = partial == null ? task.out().segment() : partial;
        for (int i = 0; i < rows; i++) {
            float norm = 0;
            for (int lane = 0; lane < L; lane++) {
                norm += scratch[norms + i * L + lane];
            }
            float factor = 1;
            long at;
            if (partial == null) {
                at = task.out().at(row(i), task.column() + (long) (i % group) * dim);
                factor = 1 / norm;
            } else {
                at = 4L * i * (dim + 2);
                partial.set(F32, at, scratch[seen + i] == 0 ? Float.NEGATIVE_INFINITY : -scratch[starts + i]);
                partial.set(F32, at + 4, norm);
                at += 8;
            }
            int sum = sums + (i / ROWS * panels * ROWS + i % ROWS) * PANEL;
            for (int d = 0; d < dim; d += PANEL) {
                Softmax.scale(scratch, sum, PANEL, factor);
                MemorySegment.copy(scratch, sum, target, F32, at + 4L * d, Math.min(PANEL, dim - d));
                sum += ROWS * PANEL;
            }
        }
    }
}
