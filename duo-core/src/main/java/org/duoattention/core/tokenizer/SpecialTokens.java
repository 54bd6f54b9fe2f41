package org.duoattention.core.tokenizer;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.JsonFile;
import org.jspecify.annotations.Nullable;

/**
 * The special tokens of a checkpoint.
 *
 * @param named text by role as Hugging Face names it: {@code bos_token}, {@code eos_token}, {@code pad_token} and so on
 * @param ids id by text, for every added token the configuration lists
 */
public record SpecialTokens(Map<String, String> named, Map<String, Integer> ids) {
    public SpecialTokens {
        named = Map.copyOf(named);
        ids = Map.copyOf(ids);
    }

    public static SpecialTokens none() {
        return new SpecialTokens(Map.of(), Map.of());
    }

    /** The text of a role such as {@code bos_token}. */
    public Optional<String> text(String role) {
        return Optional.ofNullable(named.get(role));
    }

    /** The id of a role such as {@code eos_token}; empty if the role or the id of its text is unknown. */
    public OptionalInt id(String role) {
        Integer id = named.containsKey(role) ? ids.get(named.get(role)) : null;
        return id == null ? OptionalInt.empty() : OptionalInt.of(id);
    }

    /**
     * Reads {@code tokenizer_config.json} and, for roles it does not give, {@code special_tokens_map.json}. Either may be
     * absent. A token is written as a string or as an object with {@code content}.
     *
     * @throws DuoException if a file is there but malformed
     */
    public static SpecialTokens load(Path directory) {
        Map<String, String> named = new LinkedHashMap<>();
        Map<String, Integer> ids = new LinkedHashMap<>();
        for (String file : new String[] {"tokenizer_config.json", "special_tokens_map.json"}) {
            Path path = directory.resolve(file);
            if (Files.isRegularFile(path)) {
                Map<String, @Nullable Object> root = JsonFile.read(path).toMap();
                root.forEach((key, value) -> {
                    if (key.endsWith("_token")) {
                        textOf(value).ifPresent(text -> named.putIfAbsent(key, text));
                    }
                });
                if (root.get("added_tokens_decoder") instanceof Map<?, ?> added) {
                    added.forEach((key, value) ->
                            textOf(value).ifPresent(text -> ids.putIfAbsent(text, id(path, String.valueOf(key)))));
                }
            }
        }
        return new SpecialTokens(named, ids);
    }

    private static Optional<String> textOf(@Nullable Object token) {
        Object content = token instanceof Map<?, ?> object ? object.get("content") : token;
        return content instanceof String text ? Optional.of(text) : Optional.empty();
    }

    private static int id(Path path, String key) {
        try {
            int id = Integer.parseInt(key);
            if (id >= 0) {
                return id;
            }
        } catch (NumberFormatException e) {
            // told below, as for a negative number
        }
        throw new DuoException(path + ": added_tokens_decoder has the key \"" + key + "\"; expected a token id.");
    }
}
