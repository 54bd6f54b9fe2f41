package org.duoattention.examples.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.Callable;
import org.duoattention.core.DuoException;
import org.duoattention.core.session.ModelSources;
import org.duoattention.core.source.ModelSource;
import org.duoattention.core.tokenizer.Tokenizer;
import org.duoattention.identify.text.Utf8File;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/** {@code duo template}: the prompt that a model's chat template makes of a conversation. */
@Command(
        name = "template",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        description = "Prints the prompt that the model's chat template makes of messages, and its token ids below.")
final class TemplateCommand implements Callable<Integer> {
    private final Console console;

    @Option(
            names = "--model",
            paramLabel = "PATH",
            required = true,
            description = "Checkpoint directory, or GGUF file.")
    private Path modelPath = Path.of("");

    @Option(
            names = "--messages",
            paramLabel = "FILE.json",
            required = true,
            description = "JSON array of messages, each with role and content.")
    private Path messagesFile = Path.of("");

    @Option(names = "--tools", paramLabel = "FILE.json", description = "JSON array of tools.")
    private @Nullable Path toolsFile;

    @Option(names = "--no-generation-prompt", description = "Leave out what begins the assistant's answer.")
    private boolean noGenerationPrompt;

    @Mixin
    private JsonOption json = new JsonOption();

    TemplateCommand(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() {
        json.check();
        if (!Files.exists(modelPath)) {
            throw new DuoException("--model " + modelPath
                    + ": no such directory or file; give a checkpoint directory or a" + " GGUF file");
        }
        ArrayNode messages = array(messagesFile, "--messages");
        for (int i = 0; i < messages.size(); i++) {
            if (!messages.get(i).path("role").isString()) {
                throw new DuoException("--messages " + messagesFile + ": message " + i
                        + " has no role; expected an object such as {\"role\": \"user\", \"content\": \"...\"}");
            }
        }
        ArrayNode tools = toolsFile == null ? null : array(toolsFile, "--tools");
        try (ModelSource source = ModelSources.at(modelPath)) {
            String prompt = source.requireChatTemplate().render(messages, tools, !noGenerationPrompt, Map.of());
            print(prompt, source);
        }
        return ExitCode.OK;
    }

    private void print(String prompt, ModelSource source) {
        try (Tokenizer tokenizer = source.requireTokenizer()) {
            int[] ids = tokenizer.encode(prompt, false);
            Console results = json.console(console);
            results.out().println(prompt);
            results.out().println(TokenIds.format(ids));
            ObjectNode result = JsonOption.object().put("prompt", prompt);
            ArrayNode list = result.putArray("ids");
            for (int id : ids) {
                list.add(id);
            }
            json.write(result, console);
        }
    }

    private static ArrayNode array(Path file, String option) {
        JsonNode node;
        try {
            node = JsonMapper.shared().readTree(Utf8File.read(option, file));
        } catch (JacksonException e) {
            throw new DuoException(
                    option + " " + file + " is not JSON: "
                            + e.getOriginalMessage().lines().findFirst().orElse("") + " in line "
                            + e.getLocation().getLineNr(),
                    e);
        }
        if (!(node instanceof ArrayNode array) || array.isEmpty()) {
            throw new DuoException(option + " " + file + " does not hold a JSON array with at least one element");
        }
        return array;
    }
}
