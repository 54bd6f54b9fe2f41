package org.duoattention.api.cache;

/**
 * Which attention scores a scored retention needs. H2O, TOVA and SnapKV are three values of it: H2O accumulates over all
 * queries, TOVA uses the last query only and shares scores across heads, SnapKV uses a trailing window of queries.
 *
 * <p>The score of a slot is the sum of its attention probabilities over the query heads that read the KV head and over
 * the last {@code min(trailingQueries, tokens)} queries of the chunk. It stays with the slot when others are compacted
 * away. A slot that no query has seen yet scores 0.
 *
 * @param trailingQueries queries at the end of a chunk whose attention probabilities count; at least 1
 * @param accumulate whether scores add up over chunks (H2O) or are replaced by the latest (TOVA, SnapKV)
 * @param sharedAcrossHeads whether the heads of a slab share one score (their mean); its heads then keep the same slots
 */
public record ScoreSpec(int trailingQueries, boolean accumulate, boolean sharedAcrossHeads) {
    /** Checks that at least one query counts. */
    public ScoreSpec {
        if (trailingQueries < 1) {
            throw new IllegalArgumentException("trailingQueries must be at least 1, not " + trailingQueries);
        }
    }
}
