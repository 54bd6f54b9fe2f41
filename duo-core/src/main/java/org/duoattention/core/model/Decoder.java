package org.duoattention.core.model;

import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.backend.Tensor;
import org.duoattention.core.cache.HybridCache;
import org.duoattention.core.model.DecoderWeights.Layer;

/**
 * The forward pass of Llama-class decoders, written once: Llama, Mistral, Qwen2 and Qwen3 differ in biases, norms of q
 * and k, and RoPE, which the configuration says. It queues operations on a stream and never looks at a tensor's memory.
 *
 * <p>Stateless between calls but for the scratch tensors; used by the thread that owns the stream.
 */
public final class Decoder {
    private final DecoderWeights weights;
    private final Activations scratch;
    private final RopeFrequencies rope;
    private final LayerParts parts;
    private final float epsilon;
    private final float scale;

    /** A decoder over given weights and scratch tensors, both owned by the caller. */
    public Decoder(ModelConfig config, RopeFrequencies rope, DecoderWeights weights, Activations scratch) {
        this.weights = weights;
        this.scratch = scratch;
        this.rope = rope;
        this.parts = new LayerParts(config);
        this.epsilon = parts.epsilon();
        this.scale = parts.scale();
    }

    /**
     * Feeds one chunk: every token's keys and values enter the cache, which evicts what its plan does not retain.
     *
     * @param ids token ids of the chunk, at most {@link Activations#maxChunk()}
     * @param cache the session's cache; its length is the position of the first id
     */
    public void feed(ComputeStream stream, int[] ids, HybridCache cache, PrefillMode mode) {
        if (ids.length == 0 || ids.length > scratch.maxChunk()) {
            throw new IllegalArgumentException("a chunk has 1 to " + scratch.maxChunk() + " tokens, not " + ids.length);
        }
        int n = ids.length;
        long position = cache.length();
        Rope rotation = rope.at(position + n);
        Tensor residual = scratch.residual.rows(0, n);
        Tensor normed = scratch.normed.rows(0, n);
        Tensor q = scratch.q.rows(0, n);
        Tensor k = scratch.k.rows(0, n);
        Tensor v = scratch.v.rows(0, n);
        Tensor attention = scratch.attention.rows(0, n);
        Tensor delta = scratch.delta.rows(0, n);
        Tensor gate = scratch.gate.rows(0, n);
        Tensor up = scratch.up.rows(0, n);

        stream.embed(weights.embedding, ids, residual);
        for (int i = 0; i < weights.layers.size(); i++) {
            Layer layer = weights.layers.get(i);
            if (i == 0) {
                stream.rmsNorm(residual, layer.inputNorm(), epsilon, normed);
            } else {
                stream.addRmsNorm(residual, delta, layer.inputNorm(), epsilon, normed);
            }
            parts.project(stream, layer, normed, rotation, position, q, k, v);
            cache.attend(stream, i, q, k, v, scale, mode, attention);
            stream.linear(attention, layer.o().to(delta));
            stream.addRmsNorm(residual, delta, layer.postAttentionNorm(), epsilon, normed);
            parts.feedForward(stream, layer, normed, gate, up, delta);
        }
        stream.add(residual, delta);
    }

    /**
     * Logits of consecutive tokens of the chunk that was fed last.
     *
     * @param first index of the first token within the chunk
     * @param out F32 {@code [tokens, vocabulary]}; owned by the caller
     */
    public void logits(ComputeStream stream, int first, Tensor out) {
        long count = out.spec().rows();
        Tensor normed = scratch.normed.rows(0, count);
        stream.rmsNorm(scratch.residual.rows(first, count), weights.finalNorm, epsilon, normed);
        stream.linear(normed, weights.head.to(out));
    }
}
