package org.duoattention.examples.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** A prompt's cache in a file; an interrupted prefill is in {@link ProcessTest}. */
class PromptCacheTest {
    private static final String TEXT =
            "The first passkey is: kilo tango alpha xray mike golf\nThe second passkey is: lima echo oscar hotel nova papa\n";
    private static final String QUESTION = "What is the second passkey? The passkey is:";

    @TempDir
    Path directory;

    private Path cache;

    @BeforeEach
    void name() {
        cache = directory.resolve("text.cache");
    }

    private static Cli.Result generate(String prompt, String... more) {
        List<String> arguments = new ArrayList<>(List.of(
                "generate",
                "--model",
                Cli.NANO.toString(),
                "--prompt",
                prompt,
                "--max-new-tokens",
                "12",
                "--json",
                "-"));
        arguments.addAll(List.of(more));
        return Cli.run(arguments.toArray(String[]::new));
    }

    private JsonNode cached(String prompt, String... more) {
        List<String> arguments = new ArrayList<>(List.of("--prompt-cache", cache.toString()));
        arguments.addAll(List.of(more));
        return generate(prompt, arguments.toArray(String[]::new)).ok().json();
    }

    @ParameterizedTest
    @ValueSource(strings = {"full", "duo"})
    void aTextIsReadOnceAndAskedAboutOften(String policy) throws IOException {
        String[] options = policy.equals("full")
                ? new String[] {"--context", "200"}
                : new String[] {
                    "--context", "200", "--heads", Cli.NANO + "/heads", "--threshold", "0.5", "--chunk", "64"
                };
        JsonNode made = cached(TEXT, options);
        assertThat(made.path("restoredTokens").asInt()).isZero();
        JsonNode straight = generate(TEXT + QUESTION, options).ok().json();
        byte[] file = Files.readAllBytes(cache);
        for (int i = 0; i < 2; i++) {
            JsonNode asked = cached(TEXT + QUESTION, options);
            // The text's last tokens may be cut otherwise when something follows.
            assertThat(asked.path("restoredTokens").asInt())
                    .isBetween(
                            made.path("promptTokens").asInt() - 3,
                            made.path("promptTokens").asInt());
            assertThat(asked.path("newIds")).isEqualTo(straight.path("newIds"));
        }
        assertThat(Files.readAllBytes(cache)).as("a complete file is only read").isEqualTo(file);
    }

    @Test
    void theSamePromptNeedsNoPrefill() {
        JsonNode first = cached(TEXT + QUESTION);
        JsonNode second = cached(TEXT + QUESTION);
        assertThat(second.path("restoredTokens")).isEqualTo(first.path("promptTokens"));
        assertThat(second.path("newIds")).isEqualTo(first.path("newIds"));
        assertThat(generate(TEXT + QUESTION).ok().json().path("newIds")).isEqualTo(first.path("newIds"));
    }

    @Test
    void theFileIsWrittenAsOftenAsAsked() {
        Cli.Result result =
                generate(TEXT + QUESTION, "--prompt-cache", cache.toString(), "--save-every", "20", "--chunk", "16");
        assertThat(result.ok().err().lines().filter(line -> line.startsWith("kept the cache of ")))
                .hasSizeGreaterThan(1)
                .first()
                .asString()
                .startsWith("kept the cache of 32 tokens");
    }

    @Test
    void badInput() throws IOException {
        assertThat(generate("x", "--save-every", "5").sentence()).contains("--save-every", "--prompt-cache");
        assertThat(generate("x", "--context", "3").sentence()).contains("--context is 3");
        assertThat(generate("x", "--prompt-cache", directory.toString()).sentence())
                .contains("is a directory");
        assertThat(generate("x", "--prompt-cache", directory + "/no/file").sentence())
                .contains("--prompt-cache", "is not a directory; make it first");
        assertThat(generate("x", "--prompt-cache", cache.toString(), "--save-every", "0")
                        .sentence())
                .contains("--save-every is 0");
        Files.writeString(cache, "this is no cache, but long enough to be one");
        assertThat(generate("x", "--prompt-cache", cache.toString()).sentence()).contains("is not a saved session");
        assertThat(generate("x", "--prompt-cache", cache + "/file").sentence())
                .contains("--prompt-cache", "is not a directory; make it first");
        Files.delete(cache);

        cached(TEXT);
        assertThat(generate("Another beginning", "--prompt-cache", cache.toString())
                        .sentence())
                .contains("holds another prompt");
        assertThat(generate(TEXT + QUESTION, "--prompt-cache", cache.toString()).sentence())
                .contains("was made for a context of", "--context");
        assertThat(generate(TEXT, "--prompt-cache", cache.toString(), "--kv", "int8")
                        .sentence())
                .contains("was saved with kv");
    }
}
