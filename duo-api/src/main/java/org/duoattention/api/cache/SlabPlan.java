package org.duoattention.api.cache;

import org.duoattention.api.model.HeadSet;

/**
 * The KV heads of one layer that share a retention.
 *
 * @param layer layer index
 * @param heads KV heads of that layer; not empty
 * @param retention what they keep
 */
public record SlabPlan(int layer, HeadSet heads, Retention retention) {
    /** Checks that there is a head. */
    public SlabPlan {
        if (layer < 0 || heads.isEmpty()) {
            throw new IllegalArgumentException("a slab has a layer and at least one head, not " + layer + " " + heads);
        }
    }
}
