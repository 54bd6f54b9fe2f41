package org.duoattention.api.cache;

import java.util.Map;
import org.duoattention.api.head.HeadMask;
import org.duoattention.api.model.ModelShape;

/**
 * What a policy may look at when it plans a session's cache.
 *
 * @param shape the model
 * @param heads the retrieval heads that were chosen for the session, all of them when none were; fits the shape
 * @param sinks the session's number of sink tokens for streaming heads; at least 0
 * @param recent the session's number of recent tokens for streaming heads; at least 1
 * @param maxTokens the longest context of the session; at least 1
 * @param options the policy's own options by name; a policy rejects names it does not list in {@link
 *     KVCachePolicy#options()}
 */
public record PlanContext(
        ModelShape shape, HeadMask heads, int sinks, int recent, long maxTokens, Map<String, String> options) {
    /** Checks the sizes, that the mask fits, and copies the options. */
    public PlanContext {
        options = Map.copyOf(options);
        if (!heads.fits(shape)) {
            throw new IllegalArgumentException("the head mask has " + heads.layers() + " layers x " + heads.kvHeads()
                    + " KV heads, the model " + shape.layers() + " x " + shape.kvHeads());
        }
        if (sinks < 0 || recent < 1 || maxTokens < 1) {
            throw new IllegalArgumentException("sinks must be at least 0, recent and maxTokens at least 1, not " + sinks
                    + ", " + recent + " and " + maxTokens);
        }
    }
}
