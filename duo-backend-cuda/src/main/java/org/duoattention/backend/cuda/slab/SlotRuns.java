package org.duoattention.backend.cuda.slab;

/**
 * Slots as up to three runs of consecutive ones, in ascending order of position: sinks, and the one or two pieces of a ring.
 * The <i>ordinal</i> of a slot is its index in this order.
 *
 * @param first0 first slot of run 0
 * @param end0 ordinal after the last of run 0
 * @param first1 first slot of run 1
 * @param end1 ordinal after the last of run 1; {@code end0} when the run is empty
 * @param first2 first slot of run 2
 * @param end2 ordinal after the last of run 2: the number of slots in all
 */
public record SlotRuns(long first0, long end0, long first1, long end1, long first2, long end2) {
    /** What is done with a run. */
    @FunctionalInterface
    public interface RunAction {
        /**
         * Takes one run, which is not empty.
         *
         * @param slot first slot
         * @param count number of slots
         */
        void accept(long slot, long count);
    }

    /** {@code count} slots from {@code first} on. */
    public static SlotRuns of(long first, long count) {
        return new SlotRuns(first, count, 0, count, 0, count);
    }

    /** Number of slots in all. */
    public long count() {
        return end2;
    }

    /** Takes the runs that are not empty, in order. */
    public void forEach(RunAction action) {
        run(first0, end0, action);
        run(first1, end1 - end0, action);
        run(first2, end2 - end1, action);
    }

    private static void run(long first, long count, RunAction action) {
        if (count > 0) {
            action.accept(first, count);
        }
    }
}
