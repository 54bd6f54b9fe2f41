package org.duoattention.core.template;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.duoattention.core.DuoException;
import org.duoattention.core.tokenizer.SpecialTokens;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Finds the chat templates of a checkpoint directory. */
final class TemplateFiles {
    private static final String FILE = "chat_template.jinja";
    private static final String FOLDER = "additional_chat_templates";

    private TemplateFiles() {}

    static ChatTemplate load(Path directory) {
        Map<String, String> sources = sources(directory);
        if (sources.isEmpty()) {
            throw new DuoException(directory + " has no chat template (" + FILE + ", or chat_template in"
                    + " tokenizer_config.json); use --prompt with the finished text, or an instruction-tuned checkpoint.");
        }
        ChatTemplate template = new ChatTemplate(
                "The chat template of " + directory,
                sources,
                SpecialTokens.load(directory).named(),
                Clock.systemDefaultZone());
        template.check();
        return template;
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
        JsonNode template;
        try {
            template = JsonMapper.shared().readTree(file).path("chat_template");
        } catch (JacksonException e) {
            throw new DuoException(
                    file + " cannot be read as JSON (" + e.getOriginalMessage() + "); take the file from the checkpoint"
                            + " again.",
                    e);
        }
        if (template.isString()) {
            sources.put(ChatTemplate.DEFAULT, template.stringValue());
        } else if (template.isArray()) {
            for (JsonNode entry : template) {
                JsonNode name = entry.path("name");
                JsonNode source = entry.path("template");
                if (!name.isString() || !source.isString()) {
                    throw malformed(file);
                }
                sources.put(name.stringValue(), source.stringValue());
            }
        } else if (!template.isMissingNode() && !template.isNull()) {
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
