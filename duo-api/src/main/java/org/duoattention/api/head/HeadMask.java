package org.duoattention.api.head;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.model.ModelShape;

/**
 * Per layer the set of KV heads that are retrieval heads; all others are streaming heads (DuoAttention, arXiv
 * 2410.10819). Immutable and safe to share between threads.
 */
public final class HeadMask {
    private final int kvHeads;
    private final List<HeadSet> retrieval;

    private HeadMask(int kvHeads, List<HeadSet> retrieval) {
        this.kvHeads = kvHeads;
        this.retrieval = List.copyOf(retrieval);
    }

    /**
     * A mask from one set per layer.
     *
     * @param kvHeads KV heads per layer
     * @param retrieval retrieval heads, one set per layer
     * @throws IllegalArgumentException when there are no layers or a set names a head past {@code kvHeads}
     */
    public static HeadMask of(int kvHeads, List<HeadSet> retrieval) {
        if (kvHeads <= 0 || retrieval.isEmpty()) {
            throw new IllegalArgumentException("a mask has at least one layer and one KV head, not " + retrieval.size()
                    + " layers x " + kvHeads + " heads");
        }
        for (int layer = 0; layer < retrieval.size(); layer++) {
            if (retrieval.get(layer).max() >= kvHeads) {
                throw new IllegalArgumentException("layer " + layer + " names KV head "
                        + retrieval.get(layer).max() + " but has " + kvHeads);
            }
        }
        return new HeadMask(kvHeads, retrieval);
    }

    /** Every KV head of the model is a retrieval head. */
    public static HeadMask all(ModelShape shape) {
        return uniform(shape, HeadSet.range(shape.kvHeads()));
    }

    /** No KV head of the model is a retrieval head. */
    public static HeadMask none(ModelShape shape) {
        return uniform(shape, HeadSet.empty());
    }

    private static HeadMask uniform(ModelShape shape, HeadSet heads) {
        List<HeadSet> sets = new ArrayList<>();
        for (int layer = 0; layer < shape.layers(); layer++) {
            sets.add(heads);
        }
        return new HeadMask(shape.kvHeads(), sets);
    }

    /** Number of layers. */
    public int layers() {
        return retrieval.size();
    }

    /** KV heads per layer. */
    public int kvHeads() {
        return kvHeads;
    }

    /** The retrieval heads of a layer. */
    public HeadSet retrieval(int layer) {
        return retrieval.get(layer);
    }

    /** The streaming heads of a layer. */
    public HeadSet streaming(int layer) {
        return retrieval.get(layer).complement(kvHeads);
    }

    /** Retrieval heads of all layers together. */
    public int retrievalCount() {
        return IntStream.range(0, layers())
                .map(layer -> retrieval.get(layer).size())
                .sum();
    }

    /** All KV heads of all layers. */
    public int headCount() {
        return layers() * kvHeads;
    }

    /** Whether layers and KV heads agree with the model's. */
    public boolean fits(ModelShape shape) {
        return layers() == shape.layers() && kvHeads == shape.kvHeads();
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof HeadMask that && kvHeads == that.kvHeads && retrieval.equals(that.retrieval);
    }

    @Override
    public int hashCode() {
        return 31 * kvHeads + retrieval.hashCode();
    }

    /** For example {@code HeadMask[4 layers x 4 KV heads, 3 retrieval]}. */
    @Override
    public String toString() {
        return "HeadMask[" + layers() + " layers x " + kvHeads + " KV heads, " + retrievalCount() + " retrieval]";
    }
}
