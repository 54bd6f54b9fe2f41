package org.duoattention.backend.cpu.kernel;

/**
 * Streaming attention over a sequence that is all there: query {@code i} sees the keys {@code 0 .. sinksSeen(i)-1} and
 * {@code windowFrom(i) .. i}.
 *
 * @param q F32 {@code [tokens, heads * headDim]}
 * @param k F32 {@code [tokens, kvHeads * headDim]}
 * @param v as {@code k}
 * @param headDim elements per head
 * @param sinks first tokens that every later one sees
 * @param recent last tokens seen, the query's own included
 * @param scale factor on the products of queries and keys
 */
public record StreamingTask(Matrix q, Matrix k, Matrix v, int headDim, int sinks, int recent, float scale) {
    /** Number of KV heads. */
    public int kvHeads() {
        return k.columns() / headDim;
    }

    /** Query heads that read a KV head. */
    public int group() {
        return q.columns() / k.columns();
    }

    /** Sinks that a query sees. */
    public long sinksSeen(long query) {
        return Math.min(sinks, query + 1);
    }

    /** The first key after the sinks that a query sees; {@code query + 1} when it sees sinks only. */
    public long windowFrom(long query) {
        return Math.max(sinksSeen(query), query - recent + 1);
    }
}
