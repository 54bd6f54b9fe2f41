package org.duoattention.backend.cpu.device;

import org.duoattention.backend.cpu.kernel.Workspace;
import org.duoattention.backend.cpu.pool.WorkerPool;

/** The threads of a device, each with its scratch memory, and the rules by which operations are cut into parts. */
final class Workers implements AutoCloseable {
    /** Parts per thread: enough that a thread that lost its core to another program leaves little behind to steal. */
    private static final int PARTS_PER_THREAD = 8;

    /** Multiplications, roughly, below which handing work to another thread costs more than it saves. */
    private static final long SMALL = 1 << 15;

    private final WorkerPool pool;
    private final Workspace[] workspaces;

    Workers(int threads) {
        pool = new WorkerPool(threads, "duo-cpu");
        workspaces = new Workspace[threads];
        for (int i = 0; i < threads; i++) {
            workspaces[i] = new Workspace();
        }
    }

    int threads() {
        return pool.threads();
    }

    /** One part of an operation. */
    @FunctionalInterface
    interface Part {
        void run(int part, Workspace workspace);
    }

    /** Consecutive rows of an operation. */
    @FunctionalInterface
    interface Rows {
        void run(long from, long to, Workspace workspace);
    }

    /** Runs all parts and waits for them. */
    void run(int parts, Part body) {
        pool.parallelFor(parts, (part, worker) -> body.run(part, workspaces[worker]));
    }

    /**
     * Runs rows that cost about {@code rowCost} each; on the calling thread alone when there is little to do.
     */
    void rows(long count, long rowCost, Rows body) {
        if (count * rowCost < SMALL || threads() == 1) {
            pool.parallelFor(1, (part, worker) -> body.run(0, count, workspaces[worker]));
            return;
        }
        int parts = (int) Math.min(count, (long) threads() * PARTS_PER_THREAD);
        pool.parallelFor(
                parts,
                (part, worker) -> body.run(count * part / parts, count * (part + 1) / parts, workspaces[worker]));
    }

    /** Number of parts for {@code rows} rows in blocks of {@code block} that cost {@code cost} in all; at least 1. */
    int parts(long rows, int block, long cost) {
        if (cost < SMALL) {
            return 1;
        }
        long blocks = (rows + block - 1) / block;
        return (int) Math.clamp(blocks, 1, (long) threads() * PARTS_PER_THREAD);
    }

    /** First row of a part when {@code rows} rows are cut into {@code parts} parts at multiples of {@code block}. */
    static long cut(long rows, int block, int parts, int part) {
        long blocks = (rows + block - 1) / block;
        return Math.min(rows, blocks * part / parts * block);
    }

    @Override
    public void close() {
        pool.close();
        for (Workspace workspace : workspaces) {
            workspace.close();
        }
    }
}
