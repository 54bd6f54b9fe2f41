package org.duoattention.examples.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import tools.jackson.databind.node.ObjectNode;

/** Every way in which a checkpoint can be damaged ends in one sentence that names the file, and exit code 2. */
class BadCheckpointTest {
    private static final String NORM = "model.norm.weight";
    private static final String EMBEDDING = "model.embed_tokens.weight";

    @TempDir
    Path directory;

    static Stream<Arguments> damages() {
        return Stream.of(
                damage("no config.json", "config.json", c -> c.delete("config.json")),
                damage("no weights", "safetensors", c -> c.delete("model.safetensors")),
                damage("truncated weights", "model.safetensors", c -> c.weights(b -> Arrays.copyOf(b, b.length - 100))),
                damage("weights cut in the header", "model.safetensors", c -> c.weights(b -> Arrays.copyOf(b, 200))),
                damage("empty weights", "model.safetensors", c -> c.weights(b -> new byte[0])),
                damage("header length past the end", "model.safetensors", c -> c.weights(b -> length(b, 1L << 40))),
                damage("negative header length", "model.safetensors", c -> c.weights(b -> length(b, -1))),
                damage("header length too short", "model.safetensors", c -> c.weights(b -> length(b, 9))),
                damage("offsets past the end", "model.safetensors", c -> c.header(h -> offsets(h, NORM, 0, 1L << 50))),
                damage("offsets reversed", "model.safetensors", c -> c.header(h -> offsets(h, NORM, 256, 0))),
                damage("offsets negative", "model.safetensors", c -> c.header(h -> offsets(h, NORM, -256, 0))),
                damage(
                        "offsets overflowing",
                        "model.safetensors",
                        c -> c.header(h -> offsets(h, NORM, Long.MAX_VALUE - 255, Long.MAX_VALUE))),
                damage("offsets overlapping", "model.safetensors", c -> c.header(h -> offsets(h, NORM, 0, 256))),
                damage("unknown dtype", "Q9", c -> c.header(h -> tensor(h, NORM).put("dtype", "Q9"))),
                damage("wrong shape", NORM, c -> c.header(h -> shape(h, NORM, 64, 2))),
                damage("transposed embedding", EMBEDDING, c -> c.header(h -> shape(h, EMBEDDING, 128, 1024))),
                damage("shape that overflows", "model.safetensors", c -> c.header(h -> shape(h, NORM, 1L << 62, 8))),
                damage("missing tensor", NORM, c -> c.header(h -> h.set("renamed", h.remove(NORM)))),
                damage(
                        "shard listed but absent",
                        "model-00002-of-00002.safetensors",
                        c -> c.delete("model.safetensors")
                                .write(
                                        "model.safetensors.index.json",
                                        "{\"weight_map\": {\"" + NORM + "\": \"model-00002-of-00002.safetensors\"}}")),
                damage("config is not JSON", "config.json", c -> c.write("config.json", "{\"model_type\": ")),
                damage("config is a list", "config.json", c -> c.write("config.json", "[]")),
                damage("config is empty", "config.json", c -> c.write("config.json", "")),
                damage("unknown model_type", "mamba", c -> c.config(o -> o.put("model_type", "mamba"))),
                damage("negative layers", "num_hidden_layers", c -> c.config(o -> o.put("num_hidden_layers", -4))),
                damage("layers as text", "num_hidden_layers", c -> c.config(o -> o.put("num_hidden_layers", "four"))),
                damage("too many layers", "layers", c -> c.config(o -> o.put("num_hidden_layers", 5))),
                damage("no hidden size", "hidden_size", c -> c.config(o -> o.remove("hidden_size"))),
                damage("heads that do not divide", "heads", c -> c.config(o -> o.put("num_key_value_heads", 3))),
                damage(
                        "unknown RoPE scaling",
                        "spiral",
                        c -> c.config(o -> o.putObject("rope_scaling")
                                .put("rope_type", "spiral")
                                .put("factor", 2.0))),
                damage("broken tokenizer", "tokenizer.json", c -> c.write("tokenizer.json", "{\"version\": \"1.0\"}")));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("damages")
    void isRefusedInASentence(String name, String named, Consumer<CheckpointCopy> damage) {
        CheckpointCopy copy = CheckpointCopy.in(directory);
        damage.accept(copy);
        Path json = directory.resolve("result.json");
        String sentence = Cli.run(
                        "generate",
                        "--model",
                        copy.directory.toString(),
                        "--prompt",
                        "It was",
                        "--max-new-tokens",
                        "2",
                        "--quiet",
                        "--json",
                        json.toString())
                .sentence();
        assertThat(sentence).contains(named);
        assertThat(directory).isDirectoryNotContaining(path -> !path.equals(copy.directory));
    }

    @Test
    void aDirectoryThatIsNotThereIsNamed() {
        for (String command : new String[] {"generate --prompt x", "model", "chat", "needle"}) {
            assertThat(Cli.run((command + " --model " + directory.resolve("nowhere")).split(" "))
                            .sentence())
                    .as(command)
                    .contains("nowhere");
        }
    }

    @Test
    void aFileInsteadOfADirectoryIsNamed() {
        assertThat(Cli.run(
                                "generate",
                                "--prompt",
                                "x",
                                "--model",
                                Cli.NANO.resolve("config.json").toString())
                        .sentence())
                .contains("config.json");
    }

    private static Arguments damage(String name, String named, Consumer<CheckpointCopy> damage) {
        return arguments(name, named, damage);
    }

    private static byte[] length(byte[] bytes, long length) {
        ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).putLong(0, length);
        return bytes;
    }

    private static ObjectNode tensor(ObjectNode header, String name) {
        return (ObjectNode) header.path(name);
    }

    private static void offsets(ObjectNode header, String name, long begin, long end) {
        tensor(header, name).putArray("data_offsets").add(begin).add(end);
    }

    private static void shape(ObjectNode header, String name, long... extents) {
        var shape = tensor(header, name).putArray("shape");
        Arrays.stream(extents).forEach(shape::add);
    }
}
