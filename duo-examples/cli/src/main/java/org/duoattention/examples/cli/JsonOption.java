package org.duoattention.examples.cli;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/** The {@code --json} option: a file, or {@code -} for standard output, which then holds the JSON alone. */
final class JsonOption {
    private static final JsonMapper MAPPER =
            JsonMapper.builder().enable(SerializationFeature.INDENT_OUTPUT).build();

    @Option(
            names = "--json",
            paramLabel = "FILE",
            description = "Write the result as JSON; - is standard output, where it then stands alone.")
    private @Nullable String target;

    static ObjectNode object() {
        return MAPPER.createObjectNode();
    }

    boolean isGiven() {
        return target != null;
    }

    /** Where results for people go beside the JSON. */
    Console console(Console console) {
        return "-".equals(target) ? console.withResultsOnErr() : console;
    }

    /** Refuses a file that cannot be written, before the work. */
    void check() {
        if (target != null && !target.equals("-")) {
            Outputs.checkFile(Path.of(target), "--json");
        }
    }

    /** Writes the JSON if it was asked for. */
    void write(ObjectNode json, Console console) {
        if (target == null) {
            return;
        }
        String text = MAPPER.writeValueAsString(json) + "\n";
        if (target.equals("-")) {
            console.out().print(text);
        } else {
            Outputs.write(Path.of(target), text.getBytes(StandardCharsets.UTF_8), "--json");
        }
    }
}
