package org.duoattention.backend.cpu.kernel;

/**
 * Attention of one KV head for the rows of a chunk. Query row {@code t} sees the ordinals (see {@link SlotRuns}) below
 * {@code min(always, visibleEnd(t))} and those in {@code windowFrom(t) .. visibleEnd(t) - 1}; it always sees at least one.
 *
 * @param head keys and values
 * @param runs which slots take part
 * @param always ordinals below it are visible to every row, causality permitting (the sinks)
 * @param windowStart first ordinal of row 0's window; row {@code t}'s is {@code t} further, but not below {@code
 *     always}; {@link #NO_WINDOW} when every ordinal before the end is visible
 * @param causalEnd ordinal after the last that row 0 sees; row {@code t} sees {@code t} more
 * @param q F32 queries {@code [tokens, attentionHeads * headDim]}
 * @param column first element, in a row of {@code q} and {@code out}, of the group's first query head; the {@code group}
 *     heads follow each other
 * @param group query heads that read this KV head
 * @param scale factor on the products of queries and keys
 * @param out F32 result, same shape as {@code q}
 */
public record AttentionTask(
        KvHead head,
        SlotRuns runs,
        long always,
        long windowStart,
        long causalEnd,
        Matrix q,
        int column,
        int group,
        float scale,
        Matrix out) {
    /** No window: the first ordinal is 0 for every row. */
    public static final long NO_WINDOW = Long.MIN_VALUE / 2;

    /** First ordinal of a row's window. */
    public long windowFrom(long row) {
        return Math.max(always, windowStart + row);
    }

    /** Ordinal after the last that a row sees. */
    public long visibleEnd(long row) {
        return causalEnd + row;
    }
}
