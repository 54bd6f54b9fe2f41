package org.duoattention.backend.cpu.kernel;

/**
 * The keys that some consecutive queries see together: {@code 0 .. sinks-1} and {@code first .. end-1}, in this order. Where
 * the two would touch there is one range, which starts at 0.
 *
 * @param sinks keys of the first range, fewer than {@code first}, or 0
 * @param first the first of the second range
 * @param end after the last
 */
public record StreamingKeys(long sinks, long first, long end) {
    /** The keys of the queries {@code fromRow .. toRow-1}. */
    public static StreamingKeys of(StreamingTask task, long fromRow, long toRow) {
        long first = Math.max(0, fromRow - task.recent() + 1);
        return first <= task.sinks() ? new StreamingKeys(0, 0, toRow) : new StreamingKeys(task.sinks(), first, toRow);
    }

    /** Number of keys. */
    public long count() {
        return sinks + end - first;
    }

    /** Index of a key in the order given, or -1 when it is not among them. */
    public long index(long key) {
        if (key < sinks) {
            return key;
        }
        return key >= first && key < end ? sinks + key - first : -1;
    }
}
