package org.duoattention.api.cache;

import java.util.BitSet;
import java.util.List;
import org.duoattention.api.model.ModelShape;

/**
 * What every KV head of a model retains.
 *
 * @param shape the model
 * @param slabs the slabs; together they hold every (layer, KV head) exactly once
 */
public record CachePlan(ModelShape shape, List<SlabPlan> slabs) {
    /**
     * Checks that every (layer, KV head) is planned exactly once.
     *
     * @throws IllegalArgumentException naming the first head that is missing, repeated or unknown
     */
    public CachePlan {
        slabs = List.copyOf(slabs);
        BitSet seen = new BitSet();
        for (SlabPlan slab : slabs) {
            if (slab.layer() >= shape.layers() || slab.heads().max() >= shape.kvHeads()) {
                throw new IllegalArgumentException("the plan names layer " + slab.layer() + " head "
                        + slab.heads().max() + ", the model has " + shape.layers() + " layers x " + shape.kvHeads()
                        + " KV heads");
            }
            for (int head : slab.heads().stream().toArray()) {
                int index = slab.layer() * shape.kvHeads() + head;
                if (seen.get(index)) {
                    throw new IllegalArgumentException(
                            "the plan holds layer " + slab.layer() + " head " + head + " more than once");
                }
                seen.set(index);
            }
        }
        int missing = seen.nextClearBit(0);
        if (missing < shape.layers() * shape.kvHeads()) {
            throw new IllegalArgumentException(
                    "the plan misses layer " + missing / shape.kvHeads() + " head " + missing % shape.kvHeads());
        }
    }

    /** The slabs of one layer, in plan order. */
    public List<SlabPlan> layer(int layer) {
        return slabs.stream().filter(slab -> slab.layer() == layer).toList();
    }
}
