package org.duoattention.core.model;

import java.util.ArrayList;
import java.util.List;
import org.duoattention.api.model.ModelShape;

/** The tensors that a configuration asks for, under the names of Hugging Face checkpoints; those of {@link DecoderWeights}. */
public final class ModelTensors {
    private ModelTensors() {}

    /**
     * One tensor.
     *
     * @param name its name
     * @param shape one extent for norms and biases, {@code [out, in]} for matrices
     */
    public record Entry(String name, List<Long> shape) {
        /** Whether it is an embedding or the weight of a linear layer, which may be quantised. */
        public boolean isMatrix() {
            return shape.size() == 2;
        }

        /** Number of elements. */
        public long elements() {
            return shape.stream().mapToLong(Long::longValue).reduce(1, Math::multiplyExact);
        }
    }

    /** All tensors in the order in which a forward pass uses them. */
    public static List<Entry> of(ModelConfig config) {
        ModelShape shape = config.shape();
        long hidden = shape.hiddenSize();
        long ffn = shape.intermediateSize();
        List<Entry> all = new ArrayList<>();
        matrix(all, "model.embed_tokens", shape.vocabSize(), hidden, false);
        for (int i = 0; i < shape.layers(); i++) {
            String layer = "model.layers." + i + ".";
            vector(all, layer + "input_layernorm.weight", hidden);
            matrix(all, layer + "self_attn.q_proj", shape.queryWidth(), hidden, config.queryKeyValueBias());
            matrix(all, layer + "self_attn.k_proj", shape.kvWidth(), hidden, config.queryKeyValueBias());
            matrix(all, layer + "self_attn.v_proj", shape.kvWidth(), hidden, config.queryKeyValueBias());
            if (config.queryKeyNorm()) {
                vector(all, layer + "self_attn.q_norm.weight", shape.headDim());
                vector(all, layer + "self_attn.k_norm.weight", shape.headDim());
            }
            matrix(all, layer + "self_attn.o_proj", hidden, shape.queryWidth(), config.outputBias());
            vector(all, layer + "post_attention_layernorm.weight", hidden);
            matrix(all, layer + "mlp.gate_proj", ffn, hidden, config.mlpBias());
            matrix(all, layer + "mlp.up_proj", ffn, hidden, config.mlpBias());
            matrix(all, layer + "mlp.down_proj", hidden, ffn, config.mlpBias());
        }
        vector(all, "model.norm.weight", hidden);
        if (!config.tieWordEmbeddings()) {
            matrix(all, "lm_head", shape.vocabSize(), hidden, false);
        }
        return List.copyOf(all);
    }

    private static void matrix(List<Entry> all, String name, long out, long in, boolean bias) {
        all.add(new Entry(name + ".weight", List.of(out, in)));
        if (bias) {
            vector(all, name + ".bias", out);
        }
    }

    private static void vector(List<Entry> all, String name, long extent) {
        all.add(new Entry(name, List.of(extent)));
    }
}
