package org.duoattention.core.load.gguf;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import org.duoattention.core.tokenizer.HuggingFaceTokenizer;
import org.duoattention.core.tokenizer.Tokenizer;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.json.JsonMapper;

/**
 * The tokenizer of a file: its vocabulary is written as the tokenizer.json that a model of the kind would be published
 * with, which the Hugging Face library then runs.
 */
final class GgufTokenizer {
    private static final String MODEL = "tokenizer.ggml.model";

    private GgufTokenizer() {}

    /** Whether {@link #load} would find a tokenizer. */
    static boolean isPresent(GgufMetadata metadata) {
        String model = metadata.string(MODEL).orElse("none");
        return !model.equals("none") && !model.equals("no_vocab") && GgufVocabulary.isPresent(metadata);
    }

    /**
     * The tokenizer, if the file has one.
     *
     * @throws org.duoattention.core.DuoException when it is malformed or of a kind that is not supported
     */
    static Optional<Tokenizer> load(GgufMetadata metadata) {
        if (!isPresent(metadata)) {
            return Optional.empty();
        }
        String model = metadata.string(MODEL).orElseThrow();
        GgufVocabulary vocabulary = GgufVocabulary.read(metadata);
        Map<String, @Nullable Object> json = switch (model) {
            case "gpt2" -> new ByteLevelJson(vocabulary).json();
            case "llama" -> new SentencePieceJson(vocabulary).json();
            default ->
                throw metadata.problem(
                        MODEL, model, "a supported tokenizer: gpt2 (byte-level BPE) or llama (SentencePiece BPE)");
        };
        return Optional.of(HuggingFaceTokenizer.of(
                "The tokenizer in " + metadata.file(),
                JsonMapper.shared().writeValueAsString(json),
                vocabulary.specialTokens()));
    }

    /** The parts of a tokenizer.json that both kinds share. */
    static Map<String, @Nullable Object> frame(GgufVocabulary vocabulary, boolean addsBos) {
        Map<String, @Nullable Object> json = new LinkedHashMap<>();
        json.put("version", "1.0");
        json.put("truncation", null);
        json.put("padding", null);
        json.put("added_tokens", vocabulary.addedTokens());
        json.put("post_processor", postProcessor(vocabulary, addsBos));
        return json;
    }

    /** Puts BOS in front and EOS behind, as far as the file asks for it. */
    private static @Nullable Object postProcessor(GgufVocabulary vocabulary, boolean addsBos) {
        GgufMetadata metadata = vocabulary.metadata();
        List<Object> frame = new ArrayList<>();
        Map<String, Object> special = new LinkedHashMap<>();
        if (metadata.bool("tokenizer.ggml.add_bos_token", addsBos)) {
            frame.addAll(specialToken(vocabulary, GgufSpecialIds.BOS, special));
        }
        frame.add(Map.of("Sequence", Map.of("id", "A", "type_id", 0)));
        if (metadata.bool("tokenizer.ggml.add_eos_token", false)) {
            frame.addAll(specialToken(vocabulary, GgufSpecialIds.EOS, special));
        }
        return special.isEmpty()
                ? null
                : Map.of(
                        "type",
                        "TemplateProcessing",
                        "single",
                        frame,
                        "pair",
                        List.of(
                                Map.of("Sequence", Map.of("id", "A", "type_id", 0)),
                                Map.of("Sequence", Map.of("id", "B", "type_id", 1))),
                        "special_tokens",
                        special);
    }

    /** A file that names no such token adds none, as in llama.cpp. */
    private static List<Object> specialToken(GgufVocabulary vocabulary, String key, Map<String, Object> special) {
        OptionalInt id = vocabulary.id(key);
        if (id.isEmpty()) {
            return List.of();
        }
        String text = vocabulary.token(id.getAsInt());
        special.put(text, Map.of("id", text, "ids", List.of(id.getAsInt()), "tokens", List.of(text)));
        return List.of(Map.of("SpecialToken", Map.of("id", text, "type_id", 0)));
    }

    /** The {@code model} of a tokenizer.json for byte pair encoding. */
    static Map<String, @Nullable Object> bytePairs(
            GgufVocabulary vocabulary,
            List<List<String>> merges,
            @Nullable String unknown,
            boolean byteFallback,
            boolean ignoresMerges) {
        Map<String, @Nullable Object> model = new LinkedHashMap<>();
        model.put("type", "BPE");
        model.put("dropout", null);
        model.put("unk_token", unknown);
        model.put("continuing_subword_prefix", null);
        model.put("end_of_word_suffix", null);
        model.put("fuse_unk", byteFallback);
        model.put("byte_fallback", byteFallback);
        model.put("ignore_merges", ignoresMerges);
        model.put("vocab", vocabulary.toJson());
        model.put("merges", merges);
        return model;
    }
}
