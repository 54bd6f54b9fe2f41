package org.duoattention.api.backend;

import java.util.List;

/**
 * The backward operations that the identification of retrieval heads needs (arXiv 2410.10819, section 3.2): gradients
 * with respect to inputs, the weights being frozen. Of attention only the streaming form is here, forward and backward,
 * because nothing is differentiated through full attention. Comes from {@link ComputeStream#gradients}.
 *
 * <p>The rules of {@link ComputeStream} apply: ordered with its operations, one owner thread, shapes checked first. All
 * tensors but weights are F32. Outputs are overwritten, never added to, and do not overlap other arguments unless an
 * operation says so: an overlap throws {@link IllegalArgumentException}. With the same arguments and the same number of threads the results are the same bits.
 */
public interface Gradients {
    /**
     * What flowed out of one linear layer.
     *
     * @param gradient F32 {@code [tokens, out]}: the gradient of the layer's output
     * @param weight {@code [out, in]}: F32, F16, BF16 or quantised
     */
    record LinearOutput(Tensor gradient, Tensor weight) {}

    /**
     * Backward of {@link ComputeStream#linears}: {@code inputGradient = sum of gradient * weight} over the layers that
     * read the same input.
     *
     * @param outputs at least one
     * @param inputGradient F32 {@code [tokens, in]}
     */
    void linears(List<LinearOutput> outputs, Tensor inputGradient);

    /**
     * Backward of {@link ComputeStream#rmsNorm}.
     *
     * @param x F32 {@code [tokens, width]}: the input of the forward operation
     * @param weight {@code [group]}, any dense weight type
     * @param epsilon as in the forward operation
     * @param gradient F32 {@code [tokens, width]}: of the output
     * @param inputGradient F32 {@code [tokens, width]}; may be {@code gradient}
     */
    void rmsNorm(Tensor x, Tensor weight, float epsilon, Tensor gradient, Tensor inputGradient);

    /**
     * Backward of {@link ComputeStream#rope}, in place: the rotation's transpose, its factor included.
     *
     * @param gradient F32 {@code [tokens, heads * headDim]}: of the output, then of the input
     * @param position absolute position of the first row
     */
    void rope(Tensor gradient, int headDim, Rope rope, long position);

    /**
     * Backward of {@link ComputeStream#swiGlu}, all F32 {@code [tokens, width]}.
     *
     * @param gate input of the forward operation
     * @param up input of the forward operation
     * @param gradient of the output
     * @param gateGradient may be {@code gate} or {@code gradient}
     * @param upGradient may be {@code up}
     */
    void swiGlu(Tensor gate, Tensor up, Tensor gradient, Tensor gateGradient, Tensor upGradient);

    /**
     * The shape of streaming attention over a whole sequence: query {@code i} sees key {@code j} when {@code j <= i} and
     * ({@code j < sinks} or {@code i - j < recent}); {@code recent} counts the query's own position.
     *
     * @param headDim elements per head
     * @param sinks first tokens that every later token sees; not negative
     * @param recent last tokens seen; at least 1
     * @param scale factor on the products of queries and keys
     */
    record Streaming(int headDim, int sinks, int recent, float scale) {
        /** Checks the extents. */
        public Streaming {
            if (headDim < 1 || sinks < 0 || recent < 1) {
                throw new IllegalArgumentException(
                        "streaming attention has heads of at least 1 element, sinks of at least 0"
                                + " and at least 1 recent token, not " + headDim + ", " + sinks + " and " + recent);
            }
        }
    }

    /**
     * Streaming attention of every head over a sequence that is all there; time is proportional to {@code tokens * (sinks +
     * recent)}. Query head {@code h} reads KV head {@code h / (heads / kvHeads)}.
     *
     * @param q F32 {@code [tokens, heads * headDim]}, after RoPE
     * @param k F32 {@code [tokens, kvHeads * headDim]}, after RoPE
     * @param v F32 {@code [tokens, kvHeads * headDim]}
     * @param out F32 {@code [tokens, heads * headDim]}
     */
    void attend(Tensor q, Tensor k, Tensor v, Streaming streaming, Tensor out);

    /**
     * Backward of {@link #attend}; probabilities are computed anew.
     *
     * @param gradient F32 {@code [tokens, heads * headDim]}: of the output
     * @param qGradient as {@code q}
     * @param kGradient as {@code k}: summed over the query heads of each group
     * @param vGradient as {@code v}
     */
    void attendBackward(
            Tensor q,
            Tensor k,
            Tensor v,
            Streaming streaming,
            Tensor gradient,
            Tensor qGradient,
            Tensor kGradient,
            Tensor vGradient);

    /**
     * The blend of two attention outputs by KV head: {@code out = gate * full + (1 - gate) * streaming}.
     *
     * @param full F32 {@code [tokens, width]}
     * @param streaming F32 {@code [tokens, width]}
     * @param gates one per KV head; the width is divided evenly among them. Read before the call returns
     * @param out F32 {@code [tokens, width]}; may be {@code full} or {@code streaming}
     */
    void blend(Tensor full, Tensor streaming, float[] gates, Tensor out);

    /**
     * Backward of {@link #blend}, for the streaming side and the gates; {@code full} is a constant.
     *
     * @param gradient F32 {@code [tokens, width]}: of the output
     * @param streamingGradient F32 {@code [tokens, width]}: {@code (1 - gate) * gradient}; may be {@code gradient}
     * @param gateGradients F32 {@code [1, kvHeads]}: the sum over the head's elements of {@code gradient * (full -
     *     streaming)}
     */
    void blendBackward(
            Tensor full,
            Tensor streaming,
            float[] gates,
            Tensor gradient,
            Tensor streamingGradient,
            Tensor gateGradients);
}
