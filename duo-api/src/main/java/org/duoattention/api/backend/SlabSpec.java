package org.duoattention.api.backend;

import org.duoattention.api.cache.Retention;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;

/**
 * What a slab must hold: the keys and values of the KV heads of one layer that share a retention.
 *
 * @param shape the model
 * @param layer layer index, for messages
 * @param heads KV heads of the layer that the slab holds; not empty
 * @param format storage format of a head's key row and of its value row ({@code headDim} elements each)
 * @param retention what stays after an eviction
 * @param maxTokens longest context; at least 1
 * @param maxChunk most tokens that are appended between two evictions; 1 to {@code maxTokens}
 * @param undo most tokens that {@link ComputeStream#truncate} must be able to take back exactly even after evictions;
 *     only {@link Retention.SinkAndRecent} pays memory for it; at least 0
 */
public record SlabSpec(
        ModelShape shape,
        int layer,
        HeadSet heads,
        BlockFormat format,
        Retention retention,
        long maxTokens,
        int maxChunk,
        int undo) {
    /** Checks the sizes. */
    public SlabSpec {
        if (heads.isEmpty() || heads.max() >= shape.kvHeads() || layer < 0 || layer >= shape.layers()) {
            throw new IllegalArgumentException("layer " + layer + " heads " + heads + " do not exist in " + shape);
        }
        if (maxTokens < 1 || maxChunk < 1 || maxChunk > maxTokens || undo < 0) {
            throw new IllegalArgumentException("maxTokens " + maxTokens + " must be positive, maxChunk " + maxChunk
                    + " between 1 and maxTokens, undo " + undo + " not negative");
        }
    }

    /**
     * The most tokens that a slab holds at any time: what stays after an eviction, the undo margin of streaming heads,
     * and one chunk; never more than the longest context.
     */
    public long slotCapacity() {
        if (retention instanceof Retention.All) {
            return maxTokens;
        }
        long margin = retention instanceof Retention.SinkAndRecent ? undo : 0;
        return Math.min(maxTokens, Math.addExact(retention.retainedTokens(maxTokens), margin + maxChunk));
    }
}
