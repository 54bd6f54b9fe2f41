package org.duoattention.core.model;

import java.util.Arrays;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.Collectors;

/**
 * The model families that the forward pass knows, with what differs between them. Defaults are those of the family's
 * configuration class in Hugging Face transformers, which hold for keys that config.json leaves out.
 */
public enum ModelFamily {
    /** Llama 2, 3, 3.1, 3.2 and models of the same architecture. */
    LLAMA("llama", OptionalInt.empty(), OptionalInt.empty(), 2048, 0, false, false),
    /** Mistral 7B and models of the same architecture. */
    MISTRAL("mistral", OptionalInt.of(8), OptionalInt.empty(), 131_072, 4096, false, false),
    /** Qwen2 and Qwen2.5: query, key and value projections always have a bias. */
    QWEN2("qwen2", OptionalInt.of(32), OptionalInt.empty(), 32_768, 4096, true, false),
    /** Qwen3: RMSNorm on every query and key head. */
    QWEN3("qwen3", OptionalInt.of(32), OptionalInt.of(128), 32_768, 4096, true, true);

    private final String modelType;
    private final OptionalInt defaultKvHeads;
    private final OptionalInt defaultHeadDim;
    private final int defaultMaxPositions;
    private final int defaultSlidingWindow;
    private final boolean windowIsOptIn;
    private final boolean queryKeyNorm;

    ModelFamily(
            String modelType,
            OptionalInt defaultKvHeads,
            OptionalInt defaultHeadDim,
            int defaultMaxPositions,
            int defaultSlidingWindow,
            boolean windowIsOptIn,
            boolean queryKeyNorm) {
        this.modelType = modelType;
        this.defaultKvHeads = defaultKvHeads;
        this.defaultHeadDim = defaultHeadDim;
        this.defaultMaxPositions = defaultMaxPositions;
        this.defaultSlidingWindow = defaultSlidingWindow;
        this.windowIsOptIn = windowIsOptIn;
        this.queryKeyNorm = queryKeyNorm;
    }

    /** The family of a {@code model_type}. */
    static Optional<ModelFamily> of(String modelType) {
        return Arrays.stream(values())
                .filter(family -> family.modelType.equals(modelType))
                .findFirst();
    }

    /** All model types, for messages. */
    static String known() {
        return Arrays.stream(values()).map(ModelFamily::modelType).collect(Collectors.joining(", "));
    }

    /** The {@code model_type} of config.json. */
    public String modelType() {
        return modelType;
    }

    /** KV heads when config.json leaves them out; as many as query heads when empty. */
    OptionalInt defaultKvHeads() {
        return defaultKvHeads;
    }

    /** Head width when config.json leaves it out; hidden size / heads when empty. */
    OptionalInt defaultHeadDim() {
        return defaultHeadDim;
    }

    /** Positions when config.json leaves them out. */
    int defaultMaxPositions() {
        return defaultMaxPositions;
    }

    /** Sliding window when config.json leaves it out; 0 for none. */
    int defaultSlidingWindow() {
        return defaultSlidingWindow;
    }

    /** Whether a sliding window counts only with {@code use_sliding_window}. */
    boolean windowIsOptIn() {
        return windowIsOptIn;
    }

    /** Whether query and key heads are normalised before RoPE. */
    boolean queryKeyNorm() {
        return queryKeyNorm;
    }
}
