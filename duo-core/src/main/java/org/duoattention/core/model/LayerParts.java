package org.duoattention.core.model;

import java.util.List;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.backend.Tensor;
import org.duoattention.core.model.DecoderWeights.Layer;

/**
 * What a layer does before and after its attention, for any rows of a sequence. {@link Decoder} puts the parts together
 * for a cache; identification of heads runs the same parts over whole sequences and through their backward.
 *
 * <p>Immutable. All tensors are F32 with one row per token.
 */
public final class LayerParts {
    private final int headDim;
    private final float epsilon;
    private final float scale;

    /** The parts of a model's layers. */
    public LayerParts(ModelConfig config) {
        this.headDim = config.shape().headDim();
        this.epsilon = (float) config.rmsNormEps();
        this.scale = (float) (1 / Math.sqrt(headDim));
    }

    /** Added to the mean square in every norm. */
    public float epsilon() {
        return epsilon;
    }

    /** Factor on the products of queries and keys. */
    public float scale() {
        return scale;
    }

    /**
     * Queries, keys and values of normalised rows, rotated.
     *
     * @param normed {@code [tokens, hidden]}, after the input norm
     * @param position absolute position of the first row
     * @param q {@code [tokens, attentionHeads * headDim]}, written
     * @param k {@code [tokens, kvHeads * headDim]}, written
     * @param v likewise
     */
    public void project(
            ComputeStream stream, Layer layer, Tensor normed, Rope rope, long position, Tensor q, Tensor k, Tensor v) {
        stream.linears(
                normed, List.of(layer.q().to(q), layer.k().to(k), layer.v().to(v)));
        layer.qNorm().ifPresent(norm -> stream.rmsNorm(q, norm, epsilon, q));
        layer.kNorm().ifPresent(norm -> stream.rmsNorm(k, norm, epsilon, k));
        stream.rope(q, headDim, rope, position);
        stream.rope(k, headDim, rope, position);
    }

    /**
     * The feed-forward part: {@code delta = down(swiGlu(gate(normed), up(normed)))}.
     *
     * @param normed {@code [tokens, hidden]}, after the post-attention norm
     * @param gate {@code [tokens, intermediate]}, overwritten
     * @param up likewise
     * @param delta {@code [tokens, hidden]}, written; may be {@code normed}
     */
    public void feedForward(ComputeStream stream, Layer layer, Tensor normed, Tensor gate, Tensor up, Tensor delta) {
        gated(stream, layer, normed, gate, up);
        stream.linear(gate, layer.down().to(delta));
    }

    /** The feed-forward part without its last layer: {@code gate = swiGlu(gate(normed), up(normed))}. */
    void gated(ComputeStream stream, Layer layer, Tensor normed, Tensor gate, Tensor up) {
        stream.linears(normed, List.of(layer.gate().to(gate), layer.up().to(up)));
        stream.swiGlu(gate, up, gate);
    }
}
