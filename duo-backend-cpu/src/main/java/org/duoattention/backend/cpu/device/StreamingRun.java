package org.duoattention.backend.cpu.device;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import org.duoattention.backend.cpu.kernel.GradientKernels;
import org.duoattention.backend.cpu.kernel.Matrix;
import org.duoattention.backend.cpu.kernel.StreamingKeys;
import org.duoattention.backend.cpu.kernel.StreamingTask;
import org.duoattention.backend.cpu.kernel.Workspace;

/**
 * Cuts streaming attention into parts of one KV head and one chunk of queries each, and adds up what the parts contribute to
 * the gradients of keys and values. The chunks depend on shapes alone and are added in order, so that neither the number of
 * threads nor their timing changes a bit of the result.
 */
final class StreamingRun {
    /** Least queries of a chunk. Chunks also span the window and the sinks, so that keys are in about two chunks each. */
    private static final int LEAST_ROWS = 256;

    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final GradientKernels kernels;
    private final Workers workers;
    private final StreamingTask task;
    private final long tokens;
    private final long rows;
    private final int chunks;

    StreamingRun(GradientKernels kernels, Workers workers, StreamingTask task) {
        this.kernels = kernels;
        this.workers = workers;
        this.task = task;
        tokens = task.q().rows();
        rows = Math.max(1, Math.min(tokens, Math.max(LEAST_ROWS, Math.max(task.recent(), task.sinks()))));
        chunks = Math.toIntExact((tokens + rows - 1) / rows);
    }

    private long from(int chunk) {
        return chunk * rows;
    }

    private long to(int chunk) {
        return Math.min(tokens, (chunk + 1) * rows);
    }

    private StreamingKeys keys(int chunk) {
        return StreamingKeys.of(task, from(chunk), to(chunk));
    }

    void attend(Matrix out) {
        workers.run(task.kvHeads() * chunks, (part, workspace) -> {
            int chunk = part % chunks;
            kernels.attend(task, part / chunks, from(chunk), to(chunk), out, workspace);
        });
    }

    /** {@code scratch} holds the contributions of all parts. */
    void backward(Matrix gradient, Matrix qGradient, Matrix kGradient, Matrix vGradient, Workspace scratch) {
        long[] offsets = new long[chunks + 1];
        for (int c = 0; c < chunks; c++) {
            long bytes = 4 * 2 * keys(c).count() * task.headDim();
            offsets[c + 1] = offsets[c] + (bytes + 63 & -64);
        }
        long stride = offsets[chunks];
        MemorySegment partials = scratch.reserve(stride * task.kvHeads());
        workers.run(task.kvHeads() * chunks, (part, workspace) -> {
            int head = part / chunks;
            int c = part % chunks;
            kernels.attendBackward(
                    task, head, from(c), to(c), gradient, qGradient, partials, head * stride + offsets[c], workspace);
        });
        workers.rows(tokens, 2L * task.k().columns(), (from, to, workspace) -> {
            for (int head = 0; head < task.kvHeads(); head++) {
                for (long key = from; key < to; key++) {
                    sum(partials, head * stride, offsets, head, key, kGradient, vGradient);
                }
            }
        });
    }

    private void sum(
            MemorySegment partials, long at, long[] offsets, int head, long key, Matrix kGradient, Matrix vGradient) {
        int dim = task.headDim();
        long k = kGradient.at(key, (long) head * dim);
        long v = vGradient.at(key, (long) head * dim);
        kGradient.segment().asSlice(k, 4L * dim).fill((byte) 0);
        vGradient.segment().asSlice(v, 4L * dim).fill((byte) 0);
        for (int c = (int) (key / rows); c < chunks; c++) {
            StreamingKeys keys = keys(c);
            long index = keys.index(key);
            if (index < 0) {
                return;
            }
            long from = at + offsets[c] + 4 * index * dim;
            add(partials, from, kGradient.segment(), k, dim);
            add(partials, from + 4 * keys.count() * dim, vGradient.segment(), v, dim);
        }
    }

    private static void add(MemorySegment from, long at, MemorySegment to, long target, int count) {
        for (int i = 0; i < count; i++) {
            long place = target + 4L * i;
            to.set(F32, place, to.get(F32, place) + from.get(F32, at + 4L * i));
        }
    }
}
