package org.duoattention.core.model;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.cache.CachePlan;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.cache.SlabPlan;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.core.cache.CacheSpec;
import org.duoattention.core.cache.HybridCache;
import org.duoattention.core.model.DecoderWeights.Layer;

/**
 * Runs one decoder layer at a time over short sequences with full attention, from hidden states in host memory, and shows
 * what goes into its linear layers. {@link Decoder} runs all layers and keeps a cache; this is for work that goes through
 * a model layer by layer, such as calibration.
 *
 * <p>Owns its stream and scratch tensors; used and closed by the thread that made it. Hidden states are little-endian F32
 * {@code [tokens, hiddenSize]}, at least 4-byte aligned, and owned by the caller.
 */
public final class LayerPass implements AutoCloseable {
    /** An input that linear layers of a decoder layer share, in the order of the forward pass. */
    public enum Input {
        /** Of q, k and v. */
        ATTENTION,
        /** Of o. */
        ATTENTION_OUTPUT,
        /** Of gate and up. */
        FEED_FORWARD,
        /** Of down. */
        FEED_FORWARD_OUTPUT
    }

    private final Device device;
    private final int maxTokens;
    private final LayerParts parts;
    private final RopeFrequencies rope;
    private final CacheSpec cache;
    private final Activations scratch;
    private final ComputeStream stream;

    /**
     * Allocates for sequences of up to {@code maxTokens} tokens.
     *
     * @throws org.duoattention.api.backend.DeviceMemoryException when the device has not enough memory
     */
    public LayerPass(Device device, ModelConfig config, int maxTokens) {
        this.device = device;
        this.maxTokens = maxTokens;
        this.parts = new LayerParts(config);
        this.rope = new RopeFrequencies(config.rope(), config.shape().headDim());
        ModelShape all = config.shape();
        ModelShape one = new ModelShape(
                1,
                all.hiddenSize(),
                all.attentionHeads(),
                all.kvHeads(),
                all.headDim(),
                all.intermediateSize(),
                all.vocabSize());
        CachePlan plan =
                new CachePlan(one, List.of(new SlabPlan(0, HeadSet.range(all.kvHeads()), new Retention.All())));
        this.cache = new CacheSpec(plan, BlockFormat.F16, BlockFormat.F16, maxTokens, maxTokens, 0);
        this.scratch = new Activations(device, all, maxTokens);
        try {
            this.stream = device.openStream();
        } catch (RuntimeException | Error e) {
            scratch.close();
            throw e;
        }
    }

    /** Longest sequence. */
    public int maxTokens() {
        return maxTokens;
    }

    /**
     * The hidden states before the first layer.
     *
     * @param table embeddings, {@code [vocabulary, hidden]}
     * @param hidden written
     */
    public void embed(Tensor table, int[] ids, MemorySegment hidden) {
        Tensor residual = scratch.residual.rows(0, ids.length);
        stream.embed(table, ids, residual);
        stream.download(residual, hidden);
        stream.synchronize();
    }

    /**
     * Takes hidden states through a layer, in place.
     *
     * @param tokens 1 to {@link #maxTokens}, at positions from 0
     */
    public void run(Layer layer, MemorySegment hidden, int tokens) {
        try (HybridCache keys = HybridCache.allocate(device, cache)) {
            Tensor gate = forward(layer, hidden, tokens, keys, Input.FEED_FORWARD_OUTPUT);
            Tensor residual = scratch.residual.rows(0, tokens);
            Tensor delta = scratch.delta.rows(0, tokens);
            stream.linear(gate, layer.down().to(delta));
            stream.add(residual, delta);
            stream.download(residual, hidden);
            stream.synchronize();
        }
    }

    /**
     * What goes into linear layers; what comes after them is not computed.
     *
     * @param hidden the layer's hidden states; not changed
     * @param tokens 1 to {@link #maxTokens}, at positions from 0
     * @return {@code [tokens, width]}, row after row
     */
    public float[] input(Layer layer, MemorySegment hidden, int tokens, Input which) {
        try (HybridCache keys = HybridCache.allocate(device, cache);
                Arena arena = Arena.ofShared()) {
            Tensor input = forward(layer, hidden, tokens, keys, which);
            MemorySegment copy = arena.allocate(input.spec().byteSize(), Float.BYTES);
            stream.download(input, copy);
            stream.synchronize();
            return copy.toArray(ValueLayout.JAVA_FLOAT);
        }
    }

    private Tensor forward(Layer layer, MemorySegment hidden, int n, HybridCache keys, Input until) {
        Rope rotation = rope.at(n);
        Tensor residual = scratch.residual.rows(0, n);
        Tensor normed = scratch.normed.rows(0, n);
        Tensor q = scratch.q.rows(0, n);
        Tensor k = scratch.k.rows(0, n);
        Tensor v = scratch.v.rows(0, n);
        Tensor attention = scratch.attention.rows(0, n);
        Tensor delta = scratch.delta.rows(0, n);
        Tensor gate = scratch.gate.rows(0, n);
        stream.upload(hidden, residual);
        stream.rmsNorm(residual, layer.inputNorm(), parts.epsilon(), normed);
        if (until == Input.ATTENTION) {
            return normed;
        }
        parts.project(stream, layer, normed, rotation, 0, q, k, v);
        keys.attend(stream, 0, q, k, v, parts.scale(), PrefillMode.UPSTREAM, attention);
        if (until == Input.ATTENTION_OUTPUT) {
            return attention;
        }
        stream.linear(attention, layer.o().to(delta));
        stream.addRmsNorm(residual, delta, layer.postAttentionNorm(), parts.epsilon(), normed);
        if (until == Input.FEED_FORWARD) {
            return normed;
        }
        parts.gated(stream, layer, normed, gate, scratch.up.rows(0, n));
        return gate;
    }

    @Override
    public void close() {
        try (scratch) {
            stream.close();
        }
    }
}
