package org.duoattention.backend.cpu.device;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.duoattention.backend.cpu.kernel.AttentionTask;
import org.duoattention.backend.cpu.kernel.CpuKernels;
import org.duoattention.backend.cpu.kernel.Workspace;
import org.jspecify.annotations.Nullable;

/**
 * Cuts the attention of some KV heads into parts of about equal size and runs them.
 *
 * <p>A part is one head, a block of query rows and a range of its slots. With many rows (a prefill) blocks of rows are
 * parts enough; with few, the slots of long heads are cut too and the results of their ranges joined, which is what keeps
 * all threads busy when one retrieval head is alone among streaming heads.
 */
final class AttentionRun {
    /** Parts per thread to aim at. */
    private static final int PARTS_PER_THREAD = 4;

    /** Slots below which a range is not worth joining. */
    private static final long MIN_SLOTS = 512;

    /** Query rows below which a block of rows is not worth its own pass over the slots. */
    private static final long MIN_ROWS = 48;

    private final CpuKernels kernels;
    private final Workers workers;
    private final long rows;
    private final List<Part> parts = new ArrayList<>();
    private final List<Block> joins = new ArrayList<>();
    private long partialBytes;

    /** Some rows of a task over some slots; {@code partial} is a byte offset, or -1 when the range is all there is. */
    private record Part(AttentionTask task, long fromRow, long toRow, long fromSlot, long toSlot, long partial) {}

    /** Rows whose ranges are to be joined. */
    private record Block(AttentionTask task, long fromRow, long toRow, long partial, long stride, int splits) {}

    AttentionRun(CpuKernels kernels, Workers workers, long rows, List<AttentionTask> tasks) {
        this.kernels = kernels;
        this.workers = workers;
        this.rows = rows;
        long slots = 0;
        for (AttentionTask task : tasks) {
            slots += task.runs().count();
        }
        long wanted = (long) workers.threads() * PARTS_PER_THREAD;
        for (AttentionTask task : tasks) {
            long most = kernels.attendRows(task.group());
            long blocks = (rows + most - 1) / most;
            // Where there are too few slots to be cut into enough parts, the rows are.
            if (workers.threads() > 1 && slots / MIN_SLOTS * blocks < wanted) {
                blocks = Math.max(blocks, Math.min(wanted / tasks.size() + 1, rows / MIN_ROWS));
            }
            long target = Math.max(MIN_SLOTS, slots * blocks / wanted);
            for (long block = 0; block < blocks; block++) {
                cut(task, rows * block / blocks, rows * (block + 1) / blocks, target);
            }
        }
    }

    private void cut(AttentionTask task, long fromRow, long toRow, long target) {
        long end = Math.min(task.runs().count(), task.visibleEnd(toRow - 1));
        int splits = (int) Math.max(1, (end + target / 2) / target);
        if (splits == 1) {
            parts.add(new Part(task, fromRow, toRow, 0, end, -1));
            return;
        }
        long state = 4L * task.group() * (task.head().headDim() + 2);
        long stride = (toRow - fromRow) * state + 63 & -64;
        joins.add(new Block(task, fromRow, toRow, partialBytes, stride, splits));
        for (int s = 0; s < splits; s++) {
            parts.add(new Part(task, fromRow, toRow, end * s / splits, end * (s + 1) / splits, partialBytes));
            partialBytes += stride;
        }
    }

    /** Computes everything; {@code scratch} holds the results of ranges until they are joined. */
    void run(Workspace scratch) {
        @Nullable MemorySegment partials = partialBytes == 0 ? null : scratch.reserve(partialBytes);
        workers.run(parts.size(), (index, workspace) -> {
            Part part = parts.get(index);
            kernels.attend(
                    part.task,
                    part.fromRow,
                    part.toRow,
                    part.fromSlot,
                    part.toSlot,
                    slice(partials, part.partial),
                    workspace);
        });
        if (partials == null) {
            return;
        }
        if (rows == 1) {
            joins.forEach(block -> join(block, partials));
        } else {
            workers.run(joins.size(), (index, workspace) -> join(joins.get(index), partials));
        }
    }

    private static @Nullable MemorySegment slice(@Nullable MemorySegment partials, long offset) {
        return partials == null || offset < 0 ? null : partials.asSlice(offset);
    }

    private void join(Block block, MemorySegment partials) {
        AttentionTask task = block.task;
        long state = 4L * task.group() * (task.head().headDim() + 2);
        for (long row = block.fromRow; row < block.toRow; row++) {
            long offset = block.partial + (row - block.fromRow) * state;
            kernels.merge(task, row, partials, offset, block.stride, block.splits);
        }
    }
}
