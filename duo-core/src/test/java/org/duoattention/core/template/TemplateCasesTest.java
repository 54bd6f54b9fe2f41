package org.duoattention.core.template;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.duoattention.core.DuoException;
import org.junit.jupiter.api.Test;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * Compares with values that Python's jinja2 computed, set up as transformers sets it up; {@code jinja_cases.py} beside the
 * resources wrote them.
 */
class TemplateCasesTest {
    private static final String REFUSES = "The chat template refuses the conversation: ";
    private static final Clock CLOCK = Clock.fixed(Instant.parse("2024-07-26T13:05:09Z"), ZoneOffset.UTC);
    private static final Map<String, String> SPECIAL = Map.of("bos_token", "<s>", "eos_token", "</s>");

    @Test
    void expressionsAndStatementsGiveWhatPythonGives() throws IOException {
        JsonNode root = resource("expressions.json");
        Map<String, JsonNode> variables = new HashMap<>();
        root.get("variables").properties().forEach(entry -> variables.put(entry.getKey(), entry.getValue()));
        List<String> wrong = new ArrayList<>();
        for (JsonNode example : root.get("cases")) {
            String source = example.get(0).stringValue();
            String kind = example.get(1).stringValue();
            String answer;
            boolean printed = false;
            try {
                answer = ChatTemplate.of(source, Map.of()).withClock(CLOCK).render(List.of(), null, false, variables);
                printed = true;
            } catch (DuoException e) {
                answer = String.valueOf(e.getMessage());
            }
            boolean right = kind.equals("prints")
                    ? printed && answer.equals(example.get(2).stringValue())
                    : !printed;
            if (!right) {
                wrong.add(example + " but got " + (printed ? "[" + answer + "]" : answer));
            }
        }
        assertThat(root.get("cases").size()).isGreaterThan(1_000);
        assertThat(wrong).isEmpty();
    }

    @Test
    void conversationsGiveWhatPythonGives() throws IOException {
        Map<String, String> templates = new HashMap<>();
        for (String name : new String[] {"llama-style.jinja", "chatml-style.jinja", "instruct-style.jinja"}) {
            templates.put(name, text(name));
        }
        compare(resource("conversations.json"), templates);
    }

    /** Published templates are not part of the project, for their licences; a folder of them is compared when it is there. */
    @Test
    void publishedTemplatesGiveWhatPythonGives() throws IOException {
        Path folder = Path.of(System.getProperty("duo.shared", "../shared"), "templates");
        assumeTrue(
                Files.isRegularFile(folder.resolve("conversations.json")),
                () -> "skipped: no published templates at " + folder.toAbsolutePath()
                        + "; put .jinja files there and run jinja_cases.py FOLDER FOLDER/conversations.json");
        JsonNode root = JsonMapper.shared().readTree(folder.resolve("conversations.json"));
        Map<String, String> templates = new HashMap<>();
        for (JsonNode example : root.get("cases")) {
            String name = example.get(0).stringValue();
            if (!templates.containsKey(name)) {
                templates.put(name, Files.readString(folder.resolve(name)));
            }
        }
        compare(root, templates);
    }

    private static void compare(JsonNode root, Map<String, String> templates) {
        List<String> wrong = new ArrayList<>();
        for (JsonNode example : root.get("cases")) {
            ChatTemplate template = ChatTemplate.of(
                            templates.getOrDefault(example.get(0).stringValue(), ""), SPECIAL)
                    .withClock(CLOCK);
            String answer;
            boolean printed = false;
            try {
                answer = render(
                        template, root.get("conversations").get(example.get(1).stringValue()));
                printed = true;
            } catch (DuoException e) {
                answer = String.valueOf(e.getMessage());
            }
            boolean right = switch (example.get(2).stringValue()) {
                case "prints" -> printed && answer.equals(example.get(3).stringValue());
                case "raises" ->
                    !printed && answer.equals(REFUSES + example.get(3).stringValue());
                default -> !printed;
            };
            if (!right) {
                wrong.add(example + " but got [" + answer + "]");
            }
        }
        assertThat(root.get("cases").size()).isGreaterThan(50);
        assertThat(wrong).isEmpty();
    }

    private static String render(ChatTemplate template, JsonNode conversation) {
        Map<String, JsonNode> variables = new HashMap<>();
        conversation.get("variables").properties().forEach(entry -> variables.put(entry.getKey(), entry.getValue()));
        JsonNode tools = conversation.get("tools");
        return template.render(
                conversation.get("messages"),
                tools.isNull() ? null : tools,
                conversation.get("addGenerationPrompt").booleanValue(),
                variables);
    }

    private static JsonNode resource(String name) throws IOException {
        return JsonMapper.shared().readTree(text(name));
    }

    private static String text(String name) throws IOException {
        try (InputStream in = TemplateCasesTest.class.getResourceAsStream(name)) {
            assertThat(in).as(name).isNotNull();
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }
}
