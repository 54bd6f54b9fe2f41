package org.duoattention.core.template;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.JsonFile;
import org.duoattention.core.tokenizer.SpecialTokens;
import org.jspecify.annotations.Nullable;

/** Finds the chat templates of a checkpoint directory. */
final class TemplateFiles {
    private static final String FILE = "chat_template.jinja";
    private static final String FOLDER = "additional_chat_templates";

    private TemplateFiles() {}

    static ChatTemplate load(Path directory) {
        Map<String, String> sources = sources(directory);
        if (sources.isEmpty()) {
            throw new DuoException(
                    directory + " has no chat template (" + FILE + ", or chat_template in"
                            + " tokenizer_config.json); use --prompt with the finished text, or an instruction-tuned checkpoint.");
        }
        return ChatTemplate.of(
                "The chat template of " + directory,
                sources,
                SpecialTokens.load(directory).named());
    }

    /** Source by name; empty if there is no template. */
    static Map<String, String> sources(Path directory) {
        Map<String, String> sources = new LinkedHashMap<>();
        Path file = directory.resolve(FILE);
        if (Files.isRegularFile(file)) {
            sources.put(ChatTemplate.DEFAULT, read(file));
            for (Path further : jinjaFiles(directory.resolve(FOLDER))) {
                String name = further.getFileName().toString();
                sources.put(name.substring(0, name.length() - ".jinja".length()), read(further));
            }
        }
        for (String json : List.of("tokenizer_config.json", "chat_template.json")) {
            if (sources.isEmpty() && Files.isRegularFile(directory.resolve(json))) {
                fromJson(directory.resolve(json), sources);
            }
        }
        return sources;
    }

    private static List<Path> jinjaFiles(Path folder) {
        if (!Files.isDirectory(folder)) {
            return List.of();
        }
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(path -> path.toString().endsWith(".jinja"))
                    .sorted()
                    .toList();
        } catch (IOException e) {
            throw new DuoException(folder + " cannot be read (" + e.getMessage() + ").", e);
        }
    }

    private static void fromJson(Path file, Map<String, String> sources) {
        @Nullable Object template = JsonFile.read(file).toMap().get("chat_template");
        if (template instanceof String source) {
            sources.put(ChatTemplate.DEFAULT, source);
        } else if (template instanceof List<?> named) {
            for (Object entry : named) {
                if (entry instanceof Map<?, ?> object
                        && object.get("name") instanceof String name
                        && object.get("template") instanceof String source) {
                    sources.put(name, source);
                } else {
                    throw malformed(file);
                }
            }
        } else if (template != null) {
            throw malformed(file);
        }
    }

    private static DuoException malformed(Path file) {
        return new DuoException(file + ": chat_template must be a string or a list of objects with name and template.");
    }

    private static String read(Path file) {
        try {
            return Files.readString(file);
        } catch (IOException e) {
            throw new DuoException(file + " cannot be read as UTF-8 text (" + e.getMessage() + ").", e);
        }
    }
}
