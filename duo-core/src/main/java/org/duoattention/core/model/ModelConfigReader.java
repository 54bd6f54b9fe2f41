package org.duoattention.core.model;

import java.nio.file.Path;
import java.util.List;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.duoattention.api.model.ModelShape;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.JsonObject;
import org.duoattention.core.load.QuantizationConfig;

/** Turns config.json into a {@link ModelConfig}. Keys that change the arithmetic are honoured or refused. */
final class ModelConfigReader {
    private static final int MAX_LAYERS = 10_000;
    private static final int MAX_HEADS = 1 << 16;
    private static final int MAX_WIDTH = 1 << 24;
    private static final int MAX_POSITIONS = 1 << 30;
    private static final String FULL = "full_attention";
    private static final String SLIDING = "sliding_attention";

    private final Path file;
    private final JsonObject config;

    ModelConfigReader(Path file, JsonObject config) {
        this.file = file;
        this.config = config;
    }

    ModelConfig read() {
        ModelFamily family = family();
        refuseUnsupported(family);
        ModelShape shape = shape(family);
        int maxPositions = Math.toIntExact(
                config.integer("max_position_embeddings", 1, MAX_POSITIONS).orElse(family.defaultMaxPositions()));
        boolean attentionBias = config.bool("attention_bias", false);
        return new ModelConfig(
                file,
                family,
                shape,
                config.number("rms_norm_eps", 0, 1).orElse(1e-6),
                RopeConfig.read(config, maxPositions),
                config.bool("tie_word_embeddings", false),
                family == ModelFamily.QWEN2 || attentionBias,
                family != ModelFamily.QWEN2 && attentionBias,
                config.bool("mlp_bias", false),
                family.queryKeyNorm(),
                maxPositions,
                slidingWindow(family, shape.layers()),
                firstOf(config.integers("bos_token_id", 0, Integer.MAX_VALUE)),
                config.integers("eos_token_id", 0, Integer.MAX_VALUE));
    }

    private ModelFamily family() {
        String type = config.string("model_type")
                .orElseThrow(() -> new DuoException(
                        config.file() + ": model_type is missing; expected one of " + ModelFamily.known()));
        return ModelFamily.of(type)
                .orElseThrow(() -> config.problem("model_type", "a supported model: " + ModelFamily.known()));
    }

    private void refuseUnsupported(ModelFamily family) {
        String activation = config.string("hidden_act").orElse("silu");
        // swish is another name of the same function.
        if (!activation.equals("silu") && !activation.equals("swish")) {
            throw config.problem("hidden_act", "silu, the only activation that is supported");
        }
        QuantizationConfig.check(config);
        for (String key : List.of("num_experts", "num_local_experts", "n_routed_experts")) {
            if (config.integer(key, 0, Integer.MAX_VALUE).orElse(0) > 0) {
                throw config.problem(key, "none; mixtures of experts are not supported");
            }
        }
        if (family == ModelFamily.MISTRAL && config.bool("attention_bias", false)) {
            throw config.problem("attention_bias", "false; " + family.modelType() + " has no attention biases");
        }
        if (family != ModelFamily.LLAMA && config.bool("mlp_bias", false)) {
            throw config.problem(
                    "mlp_bias", "false; " + family.modelType() + " has no biases in the feed-forward layer");
        }
    }

    private ModelShape shape(ModelFamily family) {
        int hidden = config.requiredInteger("hidden_size", 1, MAX_WIDTH);
        int layers = config.requiredInteger("num_hidden_layers", 1, MAX_LAYERS);
        int heads = config.requiredInteger("num_attention_heads", 1, MAX_HEADS);
        int intermediate = config.requiredInteger("intermediate_size", 1, MAX_WIDTH);
        int vocab = config.requiredInteger("vocab_size", 1, MAX_WIDTH);
        int kvHeads = kvHeads(family, heads);
        int headDim = headDim(family, hidden, heads);
        if ((long) heads * headDim > MAX_WIDTH) {
            throw config.problem(
                    "num_attention_heads", "heads of " + headDim + " whose width adds up to at most " + MAX_WIDTH);
        }
        return new ModelShape(layers, hidden, heads, kvHeads, headDim, intermediate, vocab);
    }

    private int kvHeads(ModelFamily family, int heads) {
        String key = "num_key_value_heads";
        int byDefault = config.has(key) ? heads : family.defaultKvHeads().orElse(heads);
        int kvHeads = Math.toIntExact(config.integer(key, 1, MAX_HEADS).orElse(byDefault));
        if (heads % kvHeads != 0) {
            throw new DuoException(config.file() + ": num_attention_heads is " + heads + " and " + key + " is "
                    + kvHeads + (config.isSet(key) ? "" : " by default") + ", expected a multiple of it");
        }
        return kvHeads;
    }

    private int headDim(ModelFamily family, int hidden, int heads) {
        String key = "head_dim";
        OptionalLong given = config.integer(key, 1, MAX_HEADS);
        int headDim;
        if (given.isPresent()) {
            headDim = Math.toIntExact(given.getAsLong());
        } else if (!config.has(key) && family.defaultHeadDim().isPresent()) {
            headDim = family.defaultHeadDim().getAsInt();
        } else if (hidden % heads == 0) {
            headDim = hidden / heads;
        } else {
            throw config.problem(
                    "hidden_size", "a multiple of num_attention_heads, which is " + heads + ", or a " + key);
        }
        if (headDim % 2 != 0) {
            throw new DuoException(config.file() + ": heads are " + headDim
                    + " wide, expected an even number since RoPE turns pairs; check head_dim and hidden_size");
        }
        return headDim;
    }

    private OptionalLong slidingWindow(ModelFamily family, int layers) {
        String key = "sliding_window";
        List<String> types = layerTypes(layers);
        OptionalLong window = config.has(key) || family.defaultSlidingWindow() == 0
                ? config.integer(key, 1, Integer.MAX_VALUE)
                : OptionalLong.of(family.defaultSlidingWindow());
        boolean used = !family.windowIsOptIn() || config.bool("use_sliding_window", false);
        if (types.contains(SLIDING)) {
            if (!used || window.isEmpty()) {
                throw new DuoException(config.file() + ": layer_types asks for " + SLIDING
                        + " but no sliding window is set; expected sliding_window, and use_sliding_window for qwen");
            }
            return window;
        }
        if (!family.windowIsOptIn()) {
            return window;
        }
        // Without layer_types, the qwen families apply the window from max_window_layers on.
        long firstLayer =
                config.integer("max_window_layers", 0, Integer.MAX_VALUE).orElse(28);
        boolean active = used && types.isEmpty() && firstLayer < layers;
        return active ? window : OptionalLong.empty();
    }

    private List<String> layerTypes(int layers) {
        String key = "layer_types";
        List<String> types = config.strings(key).orElse(List.of());
        for (String type : types) {
            if (!type.equals(FULL) && !type.equals(SLIDING)) {
                throw config.problem(key, "only " + FULL + " and " + SLIDING + "; other kinds are not supported");
            }
        }
        if (config.isSet(key) && types.size() != layers) {
            throw new DuoException(config.file() + ": " + key + " has " + types.size()
                    + " entries, expected one per layer, which are " + layers);
        }
        return types;
    }

    private static OptionalInt firstOf(List<Integer> ids) {
        return ids.isEmpty() ? OptionalInt.empty() : OptionalInt.of(ids.get(0));
    }
}
