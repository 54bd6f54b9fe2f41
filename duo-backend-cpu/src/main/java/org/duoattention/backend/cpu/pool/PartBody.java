package org.duoattention.backend.cpu.pool;

/** One part of an operation. */
@FunctionalInterface
public interface PartBody {
    /**
     * Computes a part.
     *
     * @param part index of the part
     * @param worker index of the thread that runs it, less than {@link WorkerPool#threads}; no two parts run with the same
     *     worker index at the same time
     */
    void run(int part, int worker);
}
