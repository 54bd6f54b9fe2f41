package org.duoattention.api.backend;

/**
 * What a query of a streaming head sees of its own chunk. Decoding one token at a time is the same in both modes.
 *
 * <p>A slab with {@code sinks} and {@code recent} shows the query at position {@code i} the slot at position {@code j <=
 * i} as follows.
 */
public enum PrefillMode {
    /**
     * What upstream does: everything that was retained before the chunk, and the whole chunk causally. Chunk size is
     * semantics in this mode.
     */
    UPSTREAM,
    /**
     * The true streaming mask inside the chunk too: {@code j < sinks || i - j <= recent}. The result does not depend on
     * the chunk size, and equals {@link #UPSTREAM} with chunks of one token. Needs {@link Capability#WINDOW_PREFILL}.
     */
    WINDOW
}
