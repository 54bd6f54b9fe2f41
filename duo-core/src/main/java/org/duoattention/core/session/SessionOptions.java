package org.duoattention.core.session;

import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.head.HeadMask;
import org.duoattention.api.tensor.BlockFormat;

/**
 * The settings that a session runs with; they decide its results and belong beside every figure.
 *
 * @param policy name of the cache policy
 * @param heads retrieval heads; all of them where the policy uses no mask
 * @param sinks sink tokens of streaming heads
 * @param recent recent tokens of streaming heads
 * @param kv storage format of the cache
 * @param streamingKv storage format of streaming heads
 * @param chunk tokens per prefill chunk; semantics for streaming heads in upstream mode
 * @param prefillMode what streaming heads see of their chunk
 * @param maxContext longest context in tokens
 * @param rollbackMargin tokens that streaming heads can take back after an eviction
 */
public record SessionOptions(
        String policy,
        HeadMask heads,
        int sinks,
        int recent,
        BlockFormat kv,
        BlockFormat streamingKv,
        int chunk,
        PrefillMode prefillMode,
        long maxContext,
        int rollbackMargin) {}
