package org.duoattention.examples.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.withinPercentage;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;

/**
 * What quantising costs the embedded model, in perplexity on the beginning of a novel that it was not trained on: the bounds
 * that are promised for the whole novel, on as much of it as a build has time for.
 */
class QuantizationLossTest {
    /** About 15,000 tokens; the novel is ASCII, so that no character is cut. */
    private static final int BYTES = 41_000;

    @TempDir
    static Path directory;

    private static Path text;
    private static double exact;

    @BeforeAll
    static void measureWithoutQuantising() throws IOException {
        Path novel = Cli.SHARED.resolve("text").resolve("perplexity.txt");
        assumeThat(novel)
                .as(
                        "the novel is not there, so the loss of quantising is not measured; set -Dduo.shared to the folder that has it")
                .isRegularFile();
        try (InputStream in = Files.newInputStream(novel)) {
            text = Files.write(directory.resolve("beginning.txt"), in.readNBytes(BYTES));
        }
        exact = perplexity(Cli.NANO, "f32");
    }

    @ParameterizedTest(name = "{0} cache, at most {1} %")
    @CsvSource({"int8, 0.2", "int4, 2"})
    void cachesKeepTheirBounds(String kv, double percent) {
        assertThat(perplexity(Cli.NANO, kv))
                .isCloseTo(exact, withinPercentage(percent))
                .isNotEqualTo(exact);
    }

    @Test
    void weightsOf8BitsKeepTheirBound() {
        Path out = directory.resolve("int8");
        Cli.run("quantize", "--model", Cli.NANO.toString(), "--weights", "int8", "--quiet", "--out", out.toString())
                .ok();
        assertThat(perplexity(out, "f32"))
                .isCloseTo(exact, withinPercentage(0.5))
                .isNotEqualTo(exact);
    }

    private static double perplexity(Path model, String kv) {
        List<String> args = List.of(
                "eval",
                "perplexity",
                "--model",
                model.toString(),
                "--text",
                text.toString(),
                "--context",
                "512",
                "--kv",
                kv,
                "--quiet",
                "--json",
                "-");
        JsonNode json = Cli.run(args.toArray(String[]::new)).ok().json();
        assertThat(json.path("tokens").asLong()).as("tokens measured").isGreaterThan(14_000);
        return json.path("perplexity").asDouble();
    }
}
