package org.duoattention.core.model;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Projection;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.core.load.WeightSource;

/**
 * The weights of a decoder on a device, under the names of Hugging Face checkpoints. Every shape is checked against the
 * configuration. Owns the device tensors; the source must stay open as long, because a device that reads host memory
 * uses it without a copy.
 */
public final class DecoderWeights implements AutoCloseable {
    /**
     * A linear layer.
     *
     * @param weight {@code [out, in]}
     * @param bias {@code [out]}, if there is one
     */
    public record Linear(Tensor weight, Optional<Tensor> bias) {
        /** The layer with a place for its output. */
        public Projection to(Tensor out) {
            return new Projection(weight, bias, out);
        }
    }

    /**
     * The weights of one layer.
     *
     * @param inputNorm norm before the attention, {@code [hidden]}
     * @param q queries
     * @param k keys
     * @param v values
     * @param qNorm norm of every query head, {@code [headDim]}, if the model has one
     * @param kNorm norm of every key head, likewise
     * @param o output of the attention
     * @param postAttentionNorm norm before the feed-forward part, {@code [hidden]}
     * @param gate gate of the feed-forward part
     * @param up its other input
     * @param down its output
     */
    public record Layer(
            Tensor inputNorm,
            Linear q,
            Linear k,
            Linear v,
            Optional<Tensor> qNorm,
            Optional<Tensor> kNorm,
            Linear o,
            Tensor postAttentionNorm,
            Linear gate,
            Linear up,
            Linear down) {}

    private final List<Tensor> owned = new ArrayList<>();
    private final Device device;
    private final WeightSource source;
    final Tensor embedding;
    final List<Layer> layers;
    final Tensor finalNorm;
    final Linear head;

    /**
     * Adopts all weights of a checkpoint.
     *
     * @throws org.duoattention.core.DuoException when a tensor is missing or has another shape than the configuration
     *     says
     */
    public DecoderWeights(Device device, WeightSource source, ModelConfig config) {
        this.device = device;
        this.source = source;
        ModelShape shape = config.shape();
        int hidden = shape.hiddenSize();
        try {
            embedding = matrix("model.embed_tokens.weight", shape.vocabSize(), hidden);
            List<Layer> list = new ArrayList<>();
            for (int i = 0; i < shape.layers(); i++) {
                list.add(layer("model.layers." + i + ".", config));
            }
            layers = List.copyOf(list);
            finalNorm = adopt("model.norm.weight", hidden);
            head = config.tieWordEmbeddings()
                    ? new Linear(embedding, Optional.empty())
                    : new Linear(matrix("lm_head.weight", shape.vocabSize(), hidden), Optional.empty());
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    private Layer layer(String prefix, ModelConfig config) {
        ModelShape shape = config.shape();
        int hidden = shape.hiddenSize();
        int ffn = shape.intermediateSize();
        String attention = prefix + "self_attn.";
        String mlp = prefix + "mlp.";
        boolean qkvBias = config.queryKeyValueBias();
        return new Layer(
                adopt(prefix + "input_layernorm.weight", hidden),
                linear(attention + "q_proj", shape.queryWidth(), hidden, qkvBias),
                linear(attention + "k_proj", shape.kvWidth(), hidden, qkvBias),
                linear(attention + "v_proj", shape.kvWidth(), hidden, qkvBias),
                config.queryKeyNorm()
                        ? Optional.of(adopt(attention + "q_norm.weight", shape.headDim()))
                        : Optional.empty(),
                config.queryKeyNorm()
                        ? Optional.of(adopt(attention + "k_norm.weight", shape.headDim()))
                        : Optional.empty(),
                linear(attention + "o_proj", hidden, shape.queryWidth(), config.outputBias()),
                adopt(prefix + "post_attention_layernorm.weight", hidden),
                linear(mlp + "gate_proj", ffn, hidden, config.mlpBias()),
                linear(mlp + "up_proj", ffn, hidden, config.mlpBias()),
                linear(mlp + "down_proj", hidden, ffn, config.mlpBias()));
    }

    private Linear linear(String name, long out, long in, boolean bias) {
        return new Linear(
                matrix(name + ".weight", out, in), bias ? Optional.of(adopt(name + ".bias", out)) : Optional.empty());
    }

    /** The table of embeddings, {@code [vocabulary, hidden]}. */
    public Tensor embedding() {
        return embedding;
    }

    /** The layers, first to last. */
    public List<Layer> layers() {
        return layers;
    }

    /** The norm after the last layer, {@code [hidden]}. */
    public Tensor finalNorm() {
        return finalNorm;
    }

    private Tensor matrix(String name, long rows, long columns) {
        // A device keeps its own copy of what is quantised, so what was decoded for it can go at once.
        try (Arena decoded = Arena.ofShared()) {
            Tensor tensor = switch (source.matrix(name, rows, columns, decoded)) {
                case HostTensor dense -> device.adopt(dense);
                case QuantizedMatrix quantized -> device.adopt(quantized);
            };
            owned.add(tensor);
            return tensor;
        }
    }

    private Tensor adopt(String name, long... shape) {
        Tensor tensor = device.adopt(source.get(name, shape));
        owned.add(tensor);
        return tensor;
    }

    @Override
    public void close() {
        owned.forEach(Tensor::close);
    }
}
