package org.duoattention.core.load.gguf;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import org.duoattention.core.template.ChatTemplate;

/** The chat templates of a file: one without a name, and others with theirs. */
final class GgufTemplates {
    private static final String TEMPLATE = "tokenizer.chat_template";

    private GgufTemplates() {}

    /** The templates, if there are any. */
    static Optional<ChatTemplate> load(GgufMetadata metadata) {
        Map<String, String> sources = new LinkedHashMap<>();
        metadata.string(TEMPLATE).ifPresent(source -> sources.put("default", source));
        for (String key : metadata.keys()) {
            if (key.startsWith(TEMPLATE + ".")) {
                metadata.string(key).ifPresent(source -> sources.put(key.substring(TEMPLATE.length() + 1), source));
            }
        }
        if (sources.isEmpty()) {
            return Optional.empty();
        }
        Map<String, String> tokens = GgufVocabulary.isPresent(metadata)
                ? GgufVocabulary.read(metadata).specialTokens().named()
                : Map.of();
        return Optional.of(ChatTemplate.of("The chat template of " + metadata.file(), sources, tokens));
    }
}
