package org.duoattention.backend.cpu.kernel;

/**
 * The slots that take part in an attention, as up to three runs of consecutive slots in ascending order of position:
 * sinks, and the one or two pieces of a ring. The <i>ordinal</i> of a slot is its index in this order.
 *
 * @param first0 first slot of run 0
 * @param end0 ordinal after the last of run 0
 * @param first1 first slot of run 1
 * @param end1 ordinal after the last of run 1; {@code end0} when the run is empty
 * @param first2 first slot of run 2
 * @param end2 ordinal after the last of run 2: the number of slots in all
 */
public record SlotRuns(long first0, long end0, long first1, long end1, long first2, long end2) {
    /** Slots {@code 0 .. count-1}. */
    public static SlotRuns upTo(long count) {
        return new SlotRuns(0, count, count, count, count, count);
    }

    /** Number of slots in all. */
    public long count() {
        return end2;
    }

    /** The slot with an ordinal. */
    public long slot(long ordinal) {
        if (ordinal < end0) {
            return first0 + ordinal;
        }
        return ordinal < end1 ? first1 + ordinal - end0 : first2 + ordinal - end1;
    }

    /** The first ordinal after {@code ordinal} whose slot does not follow its predecessor's: the end of the run. */
    public long runEnd(long ordinal) {
        if (ordinal < end0) {
            return end0;
        }
        return ordinal < end1 ? end1 : end2;
    }
}
