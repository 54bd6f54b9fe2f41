package org.duoattention.core.load.gguf;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import org.duoattention.core.json.Quoted;
import org.duoattention.core.tokenizer.SpecialTokens;

/** The tokens of a file with their kinds: what both kinds of tokenizer have. */
final class GgufVocabulary {
    static final String TOKENS = "tokenizer.ggml.tokens";
    private static final String TYPES = "tokenizer.ggml.token_type";
    private static final int MAX_TOKENS = 1 << 22;

    // llama_token_type in include/llama.h of ggml-org/llama.cpp; 0, 1 and 5 are plain text, 6 is a raw byte.
    private static final int UNKNOWN = 2;
    private static final int CONTROL = 3;
    private static final int USER_DEFINED = 4;

    /** Tokens that end an answer in the families that are read, whatever the metadata says of them. */
    private static final Set<String> END_TEXTS =
            Set.of("<|eot_id|>", "<|eom_id|>", "<|end_of_text|>", "<|im_end|>", "<|endoftext|>");

    private static final Map<String, String> ROLES = Map.of(
            "bos_token",
            GgufSpecialIds.BOS,
            "eos_token",
            GgufSpecialIds.EOS,
            "unk_token",
            "tokenizer.ggml.unknown_token_id",
            "pad_token",
            "tokenizer.ggml.padding_token_id");

    private final GgufMetadata metadata;
    private final List<String> tokens;
    private final int[] types;
    private final Map<String, Integer> ids;

    private GgufVocabulary(GgufMetadata metadata, List<String> tokens, int[] types, Map<String, Integer> ids) {
        this.metadata = metadata;
        this.tokens = tokens;
        this.types = types;
        this.ids = ids;
    }

    /** Whether the file has a vocabulary at all. */
    static boolean isPresent(GgufMetadata metadata) {
        return metadata.length(TOKENS) > 0;
    }

    /** Reads and checks the tokens. */
    static GgufVocabulary read(GgufMetadata metadata) {
        List<String> tokens = new ArrayList<>(metadata.strings(TOKENS, MAX_TOKENS));
        int[] types = metadata.integers(TYPES, MAX_TOKENS);
        if (metadata.has(TYPES) && types.length != tokens.size()) {
            throw metadata.problem(TYPES, "an array of " + types.length, tokens.size() + " elements, one per token");
        }
        Map<String, Integer> ids = new HashMap<>();
        for (int id = 0; id < tokens.size(); id++) {
            if (tokens.get(id).isEmpty()) {
                // As in llama.cpp: a token without text cannot be met in a text, but needs a name.
                tokens.set(id, "[EMPTY_" + id + "]");
            }
            Integer other = ids.put(tokens.get(id), id);
            if (other != null) {
                throw metadata.problem(
                        TOKENS, Quoted.of(tokens.get(id)) + " at " + other + " and at " + id, "every token once");
            }
        }
        int[] kinds = types.length == 0 ? new int[tokens.size()] : types;
        GgufVocabulary vocabulary = new GgufVocabulary(metadata, tokens, kinds, ids);
        for (String key : ROLES.values()) {
            vocabulary.id(key).ifPresent(id -> kinds[id] = kinds[id] == UNKNOWN ? UNKNOWN : CONTROL);
        }
        return vocabulary;
    }

    GgufMetadata metadata() {
        return metadata;
    }

    Path file() {
        return metadata.file();
    }

    int size() {
        return tokens.size();
    }

    String token(int id) {
        return tokens.get(id);
    }

    /** The id of a text, or empty. */
    OptionalInt find(String token) {
        Integer id = ids.get(token);
        return id == null ? OptionalInt.empty() : OptionalInt.of(id);
    }

    /** Whether merging pieces of text may lead to the token. */
    boolean isText(int id) {
        return !isSpecial(id) && types[id] != USER_DEFINED;
    }

    /** Whether the token is control rather than text. */
    boolean isSpecial(int id) {
        return types[id] == CONTROL || types[id] == UNKNOWN;
    }

    /** The id that a key names, if it is there. */
    OptionalInt id(String key) {
        return GgufSpecialIds.id(metadata, key, tokens.size());
    }

    /** Ids of control tokens that end an answer by their text. */
    List<Integer> endIds() {
        return END_TEXTS.stream()
                .flatMap(text -> Optional.ofNullable(ids.get(text)).stream())
                .filter(this::isSpecial)
                .sorted()
                .toList();
    }

    /** The special tokens by role. */
    SpecialTokens specialTokens() {
        Map<String, String> named = new HashMap<>();
        ROLES.forEach((role, key) -> id(key).ifPresent(id -> named.put(role, tokens.get(id))));
        Map<String, Integer> special = new HashMap<>();
        for (int id = 0; id < tokens.size(); id++) {
            if (isSpecial(id)) {
                special.put(tokens.get(id), id);
            }
        }
        return new SpecialTokens(named, special);
    }

    /** Id by text, as the {@code vocab} of a tokenizer.json. */
    Map<String, Integer> toJson() {
        Map<String, Integer> vocab = new LinkedHashMap<>();
        for (int id = 0; id < tokens.size(); id++) {
            vocab.put(tokens.get(id), id);
        }
        return vocab;
    }

    /** The tokens that are found in a text before anything else happens to it, as in a tokenizer.json. */
    List<Map<String, Object>> addedTokens() {
        List<Map<String, Object>> added = new ArrayList<>();
        for (int id = 0; id < tokens.size(); id++) {
            if (!isText(id)) {
                added.add(Map.of(
                        "id", id,
                        "content", tokens.get(id),
                        "single_word", false,
                        "lstrip", false,
                        "rstrip", false,
                        "normalized", false,
                        "special", isSpecial(id)));
            }
        }
        return added;
    }
}
