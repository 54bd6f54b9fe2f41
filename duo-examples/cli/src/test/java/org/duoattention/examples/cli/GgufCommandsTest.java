package org.duoattention.examples.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** A GGUF file in the place of a checkpoint directory, on the command line. */
class GgufCommandsTest {
    private static final Path FILES = Path.of("..", "..", "duo-core", "src", "test", "resources", "gguf");
    private static final Path QWEN = FILES.resolve("qwen3.gguf");
    private static final Path TOKENIZER = FILES.resolve("sentencepiece.gguf");

    @TempDir
    Path directory;

    @Test
    void aModelIsShown() {
        JsonNode json =
                Cli.run("model", "--model", QWEN.toString(), "--json", "-").ok().json();
        assertThat(json.path("model").asString()).isEqualTo("qwen3");
        assertThat(json.path("family").asString()).isEqualTo("QWEN3");
        assertThat(json.path("shape").path("headDim").asInt()).isEqualTo(10);
        // Seven norms of width 32 and six of width 10.
        assertThat(json.path("weightBytes").path("f32").asInt()).isEqualTo(4 * (7 * 32 + 6 * 10));
        assertThat(json.path("weightBytes").path("bf16").asInt()).isPositive();
    }

    @Test
    void tokensAreGeneratedFromAFileAndFromItsDirectory() throws IOException {
        Files.copy(QWEN, directory.resolve("alone.gguf"));
        String[] ids = new String[2];
        for (int i = 0; i < ids.length; i++) {
            Path model = i == 0 ? QWEN : directory;
            ids[i] = Cli.run(
                            "generate",
                            "--model",
                            model.toString(),
                            "--ids",
                            "3,4,5",
                            "--max-new-tokens",
                            "4",
                            "--quiet")
                    .ok()
                    .out();
        }
        assertThat(ids[0]).matches("\\d+(,\\d+)*\\R").isEqualTo(ids[1]);
        assertThat(Cli.run("generate", "--model", QWEN.toString(), "--prompt", "It was")
                        .sentence())
                .contains("qwen3.gguf", "--ids");
    }

    @Test
    void aTemplateIsRendered() throws IOException {
        Path messages = Files.writeString(
                directory.resolve("messages.json"), "[{\"role\": \"user\", \"content\": \"The cache\"}]");
        JsonNode json = Cli.run(
                        "template", "--model", TOKENIZER.toString(), "--messages", messages.toString(), "--json", "-")
                .ok()
                .json();
        assertThat(json.path("prompt").asString()).isEqualTo("<s>user: The cache");
        assertThat(json.path("ids").get(0).asInt()).isEqualTo(1);
        assertThat(Cli.run("template", "--model", QWEN.toString(), "--messages", messages.toString())
                        .sentence())
                .contains("qwen3.gguf", "no chat template");
    }

    @Test
    void whatIsWrongWithAFileIsOneSentence() throws IOException {
        assertThat(Cli.run("model", "--model", directory.resolve("absent.gguf").toString())
                        .sentence())
                .contains("absent.gguf", "no such file");
        Path truncated = directory.resolve("truncated.gguf");
        byte[] bytes = Files.readAllBytes(QWEN);
        Files.write(truncated, Arrays.copyOf(bytes, bytes.length - 100));
        assertThat(Cli.run("generate", "--model", truncated.toString(), "--ids", "1")
                        .sentence())
                .contains("truncated.gguf", "truncated, download it again");
        Files.copy(QWEN, directory.resolve("other.gguf"));
        assertThat(Cli.run("chat", "--model", directory.toString()).sentence()).contains("2 models", "other.gguf");
        assertThat(Cli.run("model", "--model", TOKENIZER.toString()).sentence())
                .contains("sentencepiece.gguf", "llama.block_count is missing");
    }
}
