package org.duoattention.examples.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.StringJoiner;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class GenerateCommandTest {
    private static final double TOLERANCE = 1e-3;

    @TempDir
    Path directory;

    @Test
    void textGoesToStandardOutputAndFiguresToStandardError() {
        Cli.Result result = Cli.run(
                        "generate",
                        "--model",
                        Cli.NANO.toString(),
                        "--prompt",
                        "The first passkey is: kilo tango alpha xray mike golf\nWhat is the first passkey? The passkey is:",
                        "--max-new-tokens",
                        "12",
                        "--stop",
                        "\n")
                .ok();
        assertThat(result.out()).isEqualTo(" kilo tango alpha xray mike golf" + System.lineSeparator());
        assertThat(result.err()).contains("prompt tokens", "KV cache");
    }

    @Test
    void jsonOnStandardOutputStandsAlone() {
        JsonNode json = Cli.run(
                        "generate",
                        "--model",
                        Cli.NANO.toString(),
                        "--prompt",
                        "It was a dark night",
                        "--max-new-tokens",
                        "3",
                        "--logits",
                        "--json",
                        "-",
                        "--kv",
                        "f32")
                .ok()
                .json();
        assertThat(json.path("newIds").size()).isEqualTo(3);
        assertThat(json.path("logits").size()).isEqualTo(1024);
        assertThat(json.path("finish").asString()).isEqualTo("length");
        // 4 layers x 4 heads x 32 x K and V x 4 bytes for each token of prompt and answer; backends round slots up.
        assertThat(json.path("kvBytes").asLong())
                .isGreaterThanOrEqualTo(4096L * (json.path("promptTokens").asInt() + 3));
    }

    @Test
    void equalSeedsSampleEqually() {
        assertThat(sample("1")).isEqualTo(sample("1")).isNotEqualTo(sample("2"));
    }

    private static JsonNode sample(String seed) {
        return Cli.run(
                        "generate",
                        "--model",
                        Cli.NANO.toString(),
                        "--prompt",
                        "It was",
                        "--max-new-tokens",
                        "12",
                        "--temperature",
                        "1.5",
                        "--top-k",
                        "200",
                        "--top-p",
                        "0.99",
                        "--seed",
                        seed,
                        "--json",
                        "-")
                .ok()
                .json()
                .path("newIds");
    }

    @ParameterizedTest
    @CsvSource({"llama-gqa, bf16", "llama31-rope, bf16", "qwen2-bias, bf16", "llama-mha-f16, f16", "nano-retrieval, f32"
    })
    void knownAnswersComeOut(String name, String ropePrecision) throws IOException {
        Path model = shared().resolve("models").resolve(name);
        JsonNode expected = JsonMapper.shared().readTree(model.resolve("expected.json"));
        JsonNode prompt = expected.path("prompts").get(0);
        JsonNode full =
                generate(model, prompt.path("ids"), prompt.path("greedy").size(), "--rope-precision", ropePrecision);
        assertAnswers(full, prompt);

        JsonNode duo = expected.path("duo").get(0);
        Path mask = Files.writeString(directory.resolve("mask.tsv"), tsv(duo.path("mask")));
        JsonNode reduced = generate(
                model,
                duo.path("ids"),
                duo.path("greedy").size(),
                "--rope-precision",
                ropePrecision,
                "--mask",
                mask.toString(),
                "--sink",
                duo.path("sink").asString(),
                "--recent",
                duo.path("recent").asString(),
                "--chunk",
                duo.path("chunk").asString());
        assertThat(reduced.path("policy").asString()).isEqualTo("duo");
        assertAnswers(reduced, duo);
    }

    private static JsonNode generate(Path model, JsonNode ids, int count, String... more) {
        List<String> args = new ArrayList<>(List.of(
                "generate",
                "--model",
                model.toString(),
                "--ids",
                ids(ids),
                "--max-new-tokens",
                String.valueOf(count),
                "--ignore-eos",
                "--kv",
                "f32",
                "--logits",
                "--json",
                "-"));
        args.addAll(List.of(more));
        return Cli.run(args.toArray(String[]::new)).ok().json();
    }

    private static void assertAnswers(JsonNode actual, JsonNode expected) {
        assertThat(actual.path("newIds")).isEqualTo(expected.path("greedy"));
        JsonNode logits = expected.path("logits_last");
        assertThat(actual.path("logits").size()).isEqualTo(logits.size());
        for (int i = 0; i < logits.size(); i++) {
            assertThat(Math.abs(actual.path("logits").get(i).asDouble()
                            - logits.get(i).asDouble()))
                    .as("logit %d", i)
                    .isLessThanOrEqualTo(TOLERANCE);
        }
    }

    private static String ids(JsonNode array) {
        StringJoiner ids = new StringJoiner(", ");
        array.forEach(id -> ids.add(id.asString()));
        return ids.toString();
    }

    private static String tsv(JsonNode mask) {
        StringBuilder text = new StringBuilder();
        for (JsonNode layer : mask) {
            StringJoiner row = new StringJoiner("\t");
            layer.forEach(head -> row.add(head.asString()));
            text.append(row).append('\n');
        }
        return text.toString();
    }

    private static Path shared() {
        assumeThat(Cli.SHARED.resolve("models"))
                .as("known answers of small checkpoints are not there, so they are not compared")
                .isDirectory();
        return Cli.SHARED;
    }
}
