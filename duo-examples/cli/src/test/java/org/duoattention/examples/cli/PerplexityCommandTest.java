package org.duoattention.examples.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.withinPercentage;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;

/** Perplexity of the embedded model against {@code perplexity/oracle.py}, float64 in numpy, which printed the figures. */
class PerplexityCommandTest {
    private static final Path TEXT = Path.of("src/test/resources/perplexity/text.txt");

    @TempDir
    Path directory;

    private static JsonNode measure(String options) {
        List<String> args = new ArrayList<>(List.of(
                "eval",
                "perplexity",
                "--model",
                Cli.NANO.toString(),
                "--text",
                TEXT.toString(),
                "--quiet",
                "--json",
                "-"));
        args.addAll(List.of(options.split(" ")));
        return Cli.run(args.toArray(String[]::new)).ok().json();
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource({
        "--context 1024, 39.926812302353525, 723, 1",
        "--context 256, 63.96047377805492, 721, 3",
        "--context 256 --chunk 7, 63.96047377805492, 721, 3",
        "--context 512 --chunk 64 --heads HEADS --threshold 0.5, 49.91194140690226, 722, 2",
        "--context 512 --chunk 100 --policy streaming --sink 4 --recent 30, 50.86296999760155, 722, 2",
    })
    void agreesWithTheOracle(String options, double perplexity, long tokens, long windows) {
        JsonNode json = measure(
                "--kv f32 " + options.replace("HEADS", Cli.NANO.resolve("heads").toString()));
        assertThat(json.path("perplexity").asDouble()).isCloseTo(perplexity, withinPercentage(1e-4));
        assertThat(json.path("tokens").asLong()).isEqualTo(tokens);
        assertThat(json.path("windows").asLong()).isEqualTo(windows);
    }

    @Test
    void theStorageFormatOfTheCacheShows() {
        double exact = 39.926812302353525;
        assertThat(measure("--context 1024 --kv f16").path("perplexity").asDouble())
                .isCloseTo(exact, withinPercentage(0.05));
        assertThat(measure("--context 1024 --kv bf16").path("perplexity").asDouble())
                .isCloseTo(exact, withinPercentage(0.5))
                .isNotEqualTo(exact);
    }

    @Test
    void aRunSaysWhatItMeasured() {
        JsonNode json = measure("--policy streaming --sink 4 --recent 30 --chunk 100");
        assertThat(json.path("context").asInt()).isEqualTo(2048);
        assertThat(json.path("policy").asString()).isEqualTo("streaming");
        assertThat(json.path("kv").asString()).isEqualTo("f16");
        assertThat(json.path("chunk").asInt()).isEqualTo(100);
        assertThat(json.path("sink").asInt()).isEqualTo(4);
        assertThat(json.path("recent").asInt()).isEqualTo(30);
        assertThat(json.path("text").asString()).isEqualTo(TEXT.toString());
    }

    @Test
    void aTextTooShortToScoreIsRefused() throws IOException {
        Path empty = Files.writeString(directory.resolve("empty.txt"), "");
        assertThat(Cli.run("eval", "perplexity", "--model", Cli.NANO.toString(), "--text", empty.toString())
                        .sentence())
                .contains("--text", "empty.txt", "1 token", "at least 2");
    }
}
