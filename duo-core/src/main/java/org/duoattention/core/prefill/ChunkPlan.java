package org.duoattention.core.prefill;

/**
 * How a prompt is cut into chunks: all of one size but the last. Pure arithmetic.
 *
 * @param tokens tokens to feed; at least 0
 * @param chunk tokens per chunk; at least 1
 */
public record ChunkPlan(long tokens, int chunk) {
    /** Checks the sizes. */
    public ChunkPlan {
        if (tokens < 0 || chunk < 1) {
            throw new IllegalArgumentException("tokens " + tokens + " and chunk " + chunk + " must be positive");
        }
    }

    /** Number of chunks. */
    public long chunks() {
        return tokens / chunk + (tokens % chunk == 0 ? 0 : 1);
    }

    /** First token of a chunk. */
    public long start(long index) {
        return index * chunk;
    }

    /** Tokens of a chunk. */
    public int size(long index) {
        return (int) Math.min(chunk, tokens - start(index));
    }
}
