package org.duoattention.api.model;

/**
 * The extents of a decoder-only transformer.
 *
 * @param layers number of decoder layers
 * @param hiddenSize width of the residual stream
 * @param attentionHeads query heads per layer
 * @param kvHeads key/value heads per layer; divides {@code attentionHeads} (grouped-query attention)
 * @param headDim width of one head; not necessarily {@code hiddenSize / attentionHeads}
 * @param intermediateSize width of the feed-forward layer
 * @param vocabSize number of token ids
 */
public record ModelShape(
        int layers, int hiddenSize, int attentionHeads, int kvHeads, int headDim, int intermediateSize, int vocabSize) {
    /** Checks that every extent is positive and that the KV heads divide the query heads. */
    public ModelShape {
        positive("layers", layers);
        positive("hiddenSize", hiddenSize);
        positive("attentionHeads", attentionHeads);
        positive("kvHeads", kvHeads);
        positive("headDim", headDim);
        positive("intermediateSize", intermediateSize);
        positive("vocabSize", vocabSize);
        if (attentionHeads % kvHeads != 0) {
            throw new IllegalArgumentException(
                    kvHeads + " KV heads do not divide " + attentionHeads + " attention heads");
        }
    }

    private static void positive(String name, int value) {
        if (value <= 0) {
            throw new IllegalArgumentException(name + " must be positive, not " + value);
        }
    }

    /** Query heads that share one KV head. */
    public int queryHeadsPerKvHead() {
        return attentionHeads / kvHeads;
    }

    /** Width of a query or attention output row: {@code attentionHeads * headDim}. */
    public int queryWidth() {
        return Math.multiplyExact(attentionHeads, headDim);
    }

    /** Width of a key or value row: {@code kvHeads * headDim}. */
    public int kvWidth() {
        return Math.multiplyExact(kvHeads, headDim);
    }
}
