package org.duoattention.core.model;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.StringJoiner;

/** Small config.json files: a complete one whose keys a test replaces, adds or removes. Values are JSON text. */
final class ConfigFiles {
    private final Map<String, String> keys = new LinkedHashMap<>();

    private ConfigFiles() {}

    /** Only the keys that have no default. */
    static ConfigFiles of(String modelType) {
        return new ConfigFiles()
                .with("model_type", "\"" + modelType + "\"")
                .with("hidden_size", "64")
                .with("num_hidden_layers", "3")
                .with("num_attention_heads", "8")
                .with("num_key_value_heads", "4")
                .with("intermediate_size", "160")
                .with("vocab_size", "320");
    }

    ConfigFiles with(String key, String json) {
        keys.put(key, json);
        return this;
    }

    ConfigFiles without(String key) {
        keys.remove(key);
        return this;
    }

    String text() {
        StringJoiner text = new StringJoiner(",\n", "{\n", "\n}");
        keys.forEach((key, value) -> text.add("\"" + key + "\": " + value));
        return text.toString();
    }

    /** Writes config.json and reads it. */
    ModelConfig read(Path directory) {
        try {
            Files.writeString(directory.resolve("config.json"), text());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return ModelConfig.read(directory);
    }
}
