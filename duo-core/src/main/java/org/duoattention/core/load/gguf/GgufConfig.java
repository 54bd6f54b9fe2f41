package org.duoattention.core.load.gguf;

import java.util.List;
import java.util.Map;
import java.util.OptionalLong;
import org.duoattention.api.model.ModelShape;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.Quoted;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.model.ModelFamily;

/**
 * Turns metadata and tensor list into a {@link ModelConfig}. What changes the arithmetic is honoured or refused: keys by
 * name, and tensors by not being part of a model that the forward pass knows.
 */
final class GgufConfig {
    private static final int MAX_LAYERS = 10_000;
    private static final int MAX_HEADS = 1 << 16;
    private static final int MAX_WIDTH = 1 << 24;
    private static final int MAX_POSITIONS = 1 << 30;

    /** The architectures of general.architecture that are read; Mistral is stored as llama. */
    private static final Map<String, ModelFamily> FAMILIES =
            Map.of("llama", ModelFamily.LLAMA, "qwen2", ModelFamily.QWEN2, "qwen3", ModelFamily.QWEN3);

    private static final String FIRST_LAYER = "blk.0.";

    private final GgufContent content;
    private final GgufMetadata metadata;
    private final String architecture;
    private final ModelFamily family;

    private GgufConfig(GgufContent content) {
        this.content = content;
        this.metadata = content.metadata();
        String key = "general.architecture";
        this.architecture =
                metadata.string(key).orElseThrow(() -> metadata.missing(key, "the architecture of the model"));
        ModelFamily known = FAMILIES.get(architecture);
        if (known == null) {
            throw metadata.problem(key, architecture, "a supported architecture: llama, qwen2 or qwen3");
        }
        this.family = known;
    }

    /**
     * The configuration of a model.
     *
     * @throws DuoException when something is missing, malformed or not supported
     */
    static ModelConfig read(GgufContent content) {
        return new GgufConfig(content).read();
    }

    private ModelConfig read() {
        refuseUnsupported();
        ModelShape shape = shape();
        int maxPositions = metadata.requiredInteger(key("context_length"), 1, MAX_POSITIONS);
        GgufSpecialIds special = GgufSpecialIds.read(metadata, shape.vocabSize());
        return new ModelConfig(
                content.file(),
                family,
                shape,
                epsilon(),
                GgufRope.read(content, architecture, shape.headDim(), maxPositions),
                !content.tensors().containsKey("output.weight"),
                hasInFirstLayer("attn_q.bias", "attn_k.bias", "attn_v.bias"),
                hasInFirstLayer("attn_output.bias"),
                hasInFirstLayer("ffn_gate.bias", "ffn_up.bias", "ffn_down.bias"),
                family == ModelFamily.QWEN3,
                maxPositions,
                slidingWindow(),
                special.bos(),
                special.end());
    }

    private String key(String name) {
        return architecture + "." + name;
    }

    private void refuseUnsupported() {
        String type = metadata.string("general.type").orElse("model");
        if (!type.equals("model")) {
            throw metadata.problem("general.type", type, "model; this file is no model of its own");
        }
        for (String name : List.of("expert_count", "expert_used_count")) {
            long experts = metadata.integer(key(name), 0, Integer.MAX_VALUE).orElse(0);
            if (experts > 0) {
                throw metadata.problem(key(name), String.valueOf(experts), "0; mixtures of experts are not supported");
            }
        }
        if (!metadata.bool(key("attention.causal"), true)) {
            throw metadata.problem(key("attention.causal"), "false", "true; only causal models are supported");
        }
        for (String name : List.of(
                "attention.scale",
                "attention.output_scale",
                "attention.temperature_length",
                "attention.temperature_scale",
                "attention.shared_kv_layers",
                "attention.sliding_window_pattern",
                "attention.clamp_kqv",
                "attention.max_alibi_bias",
                "attn_logit_softcapping",
                "final_logit_softcapping",
                "logit_scale",
                "residual_scale",
                "embedding_scale",
                "rope.dimension_sections",
                "rope.scaling.alpha",
                "swin_norm",
                "use_parallel_residual")) {
            if (metadata.has(key(name))) {
                throw metadata.problem(
                        key(name), "set", "no such key; it changes the model in a way that is not supported");
            }
        }
        String layout = metadata.string(key("tensor_data_layout")).orElse("");
        if (!layout.isEmpty() && !layout.equals("Meta AI original pth")) {
            throw metadata.problem(key("tensor_data_layout"), layout, "none, or that of Meta's original files");
        }
        for (String name : content.tensors().keySet()) {
            if (TensorNames.toHuggingFace(name).isEmpty()
                    && !name.equals(TensorNames.ROPE_DIVISORS)
                    && !TensorNames.isRedundant(name)) {
                throw new DuoException(content.file() + ": tensor " + Quoted.of(name) + " is not part of a "
                        + architecture + " model that is supported; take a plain conversion of the model");
            }
        }
    }

    private ModelShape shape() {
        int layers = metadata.requiredInteger(key("block_count"), 1, MAX_LAYERS);
        int hidden = metadata.requiredInteger(key("embedding_length"), 1, MAX_WIDTH);
        int intermediate = metadata.requiredInteger(key("feed_forward_length"), 1, MAX_WIDTH);
        int heads = metadata.requiredInteger(key("attention.head_count"), 1, MAX_HEADS);
        int kvHeads = (int)
                metadata.integer(key("attention.head_count_kv"), 1, MAX_HEADS).orElse(heads);
        if (heads % kvHeads != 0) {
            throw metadata.problem(
                    key("attention.head_count_kv"),
                    String.valueOf(kvHeads),
                    "a divisor of head_count, which is " + heads);
        }
        int headDim = headDim(hidden, heads);
        if ((long) heads * headDim > MAX_WIDTH) {
            throw metadata.problem(
                    key("attention.head_count"),
                    String.valueOf(heads),
                    "heads of " + headDim + " whose width adds up to at most " + MAX_WIDTH);
        }
        return new ModelShape(layers, hidden, heads, kvHeads, headDim, intermediate, vocabSize());
    }

    private int headDim(int hidden, int heads) {
        OptionalLong given = metadata.integer(key("attention.key_length"), 1, MAX_HEADS);
        if (given.isEmpty() && hidden % heads != 0) {
            throw metadata.problem(
                    key("attention.head_count"),
                    String.valueOf(heads),
                    "a divisor of embedding_length, which is " + hidden + ", or a key_length");
        }
        int headDim = (int) given.orElse(hidden / heads);
        if (headDim % 2 != 0) {
            throw new DuoException(content.file() + ": heads are " + headDim
                    + " wide, expected an even number since RoPE turns pairs; check " + key("attention.key_length"));
        }
        long values = metadata.integer(key("attention.value_length"), 1, MAX_HEADS)
                .orElse(given.isPresent() ? hidden / heads : headDim);
        if (values != headDim) {
            throw metadata.problem(
                    key("attention.value_length"),
                    String.valueOf(values),
                    headDim + ", the width of keys; other widths are not supported");
        }
        return headDim;
    }

    /** The rows of the embedding, which all that the metadata says must agree with. */
    private int vocabSize() {
        String name = "token_embd.weight";
        StoredGgufTensor embedding = content.tensors().get(name);
        if (embedding == null) {
            throw new DuoException(
                    content.file() + ": tensor " + name + " is missing; the file is incomplete, download it again");
        }
        long rows = embedding.info().shape()[0];
        if (rows > MAX_WIDTH) {
            throw new DuoException(embedding.file() + ": tensor " + name + " has " + rows + " rows, at most "
                    + MAX_WIDTH + " are supported");
        }
        OptionalLong stated = metadata.integer(key("vocab_size"), 1, MAX_WIDTH);
        if (stated.isPresent() && stated.getAsLong() != rows) {
            throw metadata.problem(
                    key("vocab_size"), String.valueOf(stated.getAsLong()), rows + ", the rows of " + name);
        }
        long tokens = metadata.length(GgufVocabulary.TOKENS);
        if (tokens > rows) {
            throw metadata.problem(
                    GgufVocabulary.TOKENS, tokens + " tokens", "at most " + rows + ", the rows of " + name);
        }
        return (int) rows;
    }

    private double epsilon() {
        String key = key("attention.layer_norm_rms_epsilon");
        return metadata.number(key, 0, 1).orElseThrow(() -> metadata.missing(key, "a number from 0 to 1"));
    }

    /** Zero stands for none. */
    private OptionalLong slidingWindow() {
        OptionalLong window = metadata.integer(key("attention.sliding_window"), 0, Integer.MAX_VALUE);
        return window.isPresent() && window.getAsLong() == 0 ? OptionalLong.empty() : window;
    }

    /** Whether the first layer has any of these; that all layers have all of them is found out when they are loaded. */
    private boolean hasInFirstLayer(String... names) {
        for (String name : names) {
            if (content.tensors().containsKey(FIRST_LAYER + name)) {
                return true;
            }
        }
        return false;
    }
}
