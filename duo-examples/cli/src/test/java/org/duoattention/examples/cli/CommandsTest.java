package org.duoattention.examples.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

class CommandsTest {
    @TempDir
    Path directory;

    @Test
    void backendsAreListedWithTheReasonWhyOneCannotBeUsed() {
        assertThat(Cli.run("backends").ok().out()).contains("cpu-scalar", "usable, priority", "full", "duo", "pattern");
    }

    @Test
    void helpIsACommandToo() {
        assertThat(Cli.run("help").ok().out()).contains("needle", "quantize", "Exit codes");
        assertThat(Cli.run("help", "plan").ok().out())
                .isEqualTo(Cli.run("plan", "--help").ok().out())
                .contains("--memory");
    }

    @Test
    void aModelIsDescribedWithTheCostOfAToken() {
        JsonNode json = Cli.run(
                        "model",
                        "--model",
                        Cli.NANO.toString(),
                        "--heads",
                        Cli.NANO.resolve("heads").toString(),
                        "--threshold",
                        "0.5",
                        "--json",
                        "-")
                .ok()
                .json();
        assertThat(json.path("shape").path("kvHeads").asInt()).isEqualTo(4);
        assertThat(json.path("weightBytes").path("bf16").asLong()).isEqualTo(2 * 1_115_264L);
        double[] perToken = new double[3];
        for (JsonNode line : json.path("kvCache")) {
            switch (line.path("policy").asString()) {
                case "full" -> perToken[0] = line.path("bytesPerToken").asDouble();
                case "duo" -> perToken[1] = line.path("bytesPerToken").asDouble();
                case "streaming" -> perToken[2] = line.path("bytesPerToken").asDouble();
                default -> {}
            }
        }
        // 16 KV heads x 32 x K and V x 2 bytes; 3 of them; none.
        assertThat(perToken).containsExactly(2048, 384, 0);
        assertThat(Cli.run("model", "--model", Cli.NANO.toString()).ok().out())
                .contains("duo        depends on the retrieval heads");
    }

    @Test
    void aDemoModelFindsNeedlesWithItsOwnHeadsOnly() {
        Path model = directory.resolve("demo");
        assertThat(Cli.run("demo-model", "--out", model.toString(), "--context", "4096")
                        .ok()
                        .out())
                .contains("retrieval heads");
        JsonNode json = Cli.run(
                        "needle",
                        "--model",
                        model.toString(),
                        "--heads",
                        model.resolve("heads").toString(),
                        "--threshold",
                        "0.5",
                        "--chunk",
                        "64",
                        "--contexts",
                        "1024",
                        "--depths",
                        "2",
                        "--samples",
                        "1",
                        "--out",
                        directory.resolve("maps").toString(),
                        "--json",
                        "-")
                .ok()
                .json();
        for (JsonNode line : json.path("summary")) {
            assertThat(line.path("accuracy").asDouble())
                    .as("%s", line)
                    .isEqualTo(line.path("policy").asString().equals("streaming") ? 0 : 1);
        }
    }

    @Test
    void aTemplateIsRendered() throws IOException {
        Path model = directory.resolve("chat");
        Files.createDirectories(model);
        for (String file : new String[] {"tokenizer.json", "tokenizer_config.json"}) {
            Files.copy(Cli.NANO.resolve(file), model.resolve(file));
        }
        Files.writeString(
                model.resolve("chat_template.jinja"),
                "{%- for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
                        + "{% if add_generation_prompt %}assistant:{% endif %}");
        Path messages = Files.writeString(
                directory.resolve("messages.json"), "[{\"role\": \"user\", \"content\": \"It was\"}]");
        String prompt = "user: It was\nassistant:";
        Cli.Result text = Cli.run("template", "--model", model.toString(), "--messages", messages.toString());
        assertThat(text.ok().out()).startsWith(prompt + System.lineSeparator());
        JsonNode json = Cli.run(
                        "template", "--model", model.toString(), "--messages", messages.toString(), "--json", "-")
                .ok()
                .json();
        assertThat(json.path("prompt").asString()).isEqualTo(prompt);
        assertThat(json.path("ids").size()).isGreaterThan(3);
    }

    @Test
    void aConversationKeepsItsCacheAndEndsOnExit() {
        Cli.Result result = Cli.runWith(
                        "The first passkey is: kilo tango\nWhat is the first passkey? The passkey is:\n/exit\nnot read\n",
                        "chat",
                        "--model",
                        Cli.NANO.toString(),
                        "--max-new-tokens",
                        "4",
                        "--max-context",
                        "200")
                .ok();
        assertThat(result.out().lines().count()).isGreaterThanOrEqualTo(2);
        assertThat(result.err()).isEmpty();
    }

    @Test
    void aConversationThatNoLongerFitsSaysSoAndGoesOn() {
        Cli.Result result = Cli.runWith(
                        "It was a dark night and the old man said nothing more about it that day\n/reset\nIt was\n",
                        "chat",
                        "--model",
                        Cli.NANO.toString(),
                        "--max-new-tokens",
                        "2",
                        "--max-context",
                        "16")
                .ok();
        assertThat(result.err()).contains("does not fit in the context of 16");
        assertThat(result.out()).isNotBlank();
    }

    @Test
    void helpAndVersionGoToStandardOutput() {
        assertThat(Cli.run("--help").ok().out()).contains("needle", "generate", "130");
        assertThat(Cli.run("needle", "--help").ok().out()).contains("--prefill-mode", "--haystack");
        assertThat(Cli.run("--version").ok().out()).startsWith("duo ");
    }

    @Test
    void sparsityKeepsTheBestHeads() {
        assertThat(Cli.run(
                                "generate",
                                "--model",
                                Cli.NANO.toString(),
                                "--heads",
                                Cli.NANO.resolve("heads").toString(),
                                "--sparsity",
                                "0.8",
                                "--prompt",
                                "It was",
                                "--max-new-tokens",
                                "2",
                                "--json",
                                "-")
                        .ok()
                        .json()
                        .path("retrievalHeads")
                        .asInt())
                .isEqualTo(3);
    }
}
