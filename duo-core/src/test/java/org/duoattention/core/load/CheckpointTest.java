package org.duoattention.core.load;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.duoattention.core.load.CheckpointFiles.entry;
import static org.duoattention.core.load.CheckpointFiles.safetensors;
import static org.duoattention.core.load.CheckpointFiles.withLength;
import static org.duoattention.core.load.CheckpointFiles.writeSingle;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.core.DuoException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Single-file checkpoints: what is read, and every way in which a header can lie. */
class CheckpointTest {
    @TempDir
    Path directory;

    @Test
    void readsEveryWeightType() {
        // 1.5 in little-endian F32, F16 and BF16; the data begin at an odd address because of the padding blank.
        byte[] data = {0, 0, (byte) 0xc0, 0x3f, 0, 0x3e, (byte) 0xc0, 0x3f};
        String header = "{\"__metadata__\":{\"format\":\"pt\"}," + entry("a", "F32", "[1]", 0, 4) + ","
                + entry("c", "BF16", "[1,1]", 6, 8) + "," + entry("b", "F16", "[1]", 4, 6) + "}";
        writeSingle(directory, safetensors(header.length() % 2 == 0 ? header + " " : header, data));
        try (Checkpoint checkpoint = Checkpoint.open(directory)) {
            assertThat(checkpoint.names()).containsExactly("a", "b", "c");
            assertThat(checkpoint.totalBytes()).isEqualTo(8);
            assertThat(checkpoint.dtypes()).isEqualTo(Set.of(DType.F32, DType.F16, DType.BF16));
            for (String name : List.of("a", "b", "c")) {
                assertThat(checkpoint.find(name).orElseThrow().floatAt(0)).isEqualTo(1.5f, within(0f));
            }
            assertThat(checkpoint.get("c", 1, 1).spec()).isEqualTo(TensorSpec.of(DType.BF16, 1, 1));
            assertThat(checkpoint.find("d")).isEmpty();
        }
    }

    @Test
    void missingOrMisshapenTensorsAreRefusedByName() {
        writeSingle(directory, safetensors("{" + entry("a", "BF16", "[2,1]", 0, 4) + "}", new byte[4]));
        try (Checkpoint checkpoint = Checkpoint.open(directory)) {
            assertThatThrownBy(() -> checkpoint.get("x", 3, 4))
                    .isInstanceOf(DuoException.class)
                    .hasMessageContaining("lack tensor x of shape [3, 4]");
            assertThatThrownBy(() -> checkpoint.get("a", 1, 2))
                    .isInstanceOf(DuoException.class)
                    .hasMessageContaining("tensor a has shape [2, 1]")
                    .hasMessageContaining("[1, 2]");
        }
    }

    @Test
    void typesThatAreNoWeightsAreRefusedWhenTheyAreNeeded() {
        writeSingle(
                directory,
                safetensors(
                        "{" + entry("w", "F8_E4M3", "[2]", 0, 2) + "," + entry("i", "I64", "[1]", 2, 10) + "}",
                        new byte[10]));
        try (Checkpoint checkpoint = Checkpoint.open(directory)) {
            assertThat(checkpoint.dtypes()).isEmpty();
            assertThatThrownBy(() -> checkpoint.find("w"))
                    .isInstanceOf(DuoException.class)
                    .hasMessageContaining("tensor w is F8_E4M3");
            assertThatThrownBy(() -> checkpoint.get("i", 1))
                    .isInstanceOf(DuoException.class)
                    .hasMessageContaining("tensor i is I64");
        }
    }

    @Test
    void emptyTensorsAndScalarsAreRead() {
        writeSingle(
                directory,
                safetensors(
                        "{" + entry("none", "F32", "[0,7]", 0, 0) + "," + entry("one", "F32", "[]", 0, 4) + "}",
                        new byte[4]));
        try (Checkpoint checkpoint = Checkpoint.open(directory)) {
            assertThat(checkpoint.get("none", 0, 7).data().byteSize()).isZero();
            assertThat(checkpoint.get("one").floatAt(0)).isZero();
        }
    }

    @Test
    void tensorsDieWithTheirCheckpoint() {
        writeSingle(directory, safetensors("{" + entry("a", "F32", "[1]", 0, 4) + "}", new byte[4]));
        Checkpoint checkpoint = Checkpoint.open(directory);
        HostTensor tensor = checkpoint.get("a", 1);
        assertThat(tensor.floatAt(0)).isZero();
        checkpoint.close();
        checkpoint.close();
        assertThatThrownBy(() -> tensor.floatAt(0)).isInstanceOf(IllegalStateException.class);
    }

    static List<Arguments> badFiles() {
        byte[] four = new byte[4];
        String good = "{" + entry("a", "F32", "[1]", 0, 4) + "}";
        byte[] goodBytes = good.getBytes(StandardCharsets.UTF_8);
        byte[] whole = safetensors(good, four);
        return List.of(
                arguments("empty file", new byte[0], "has 0 bytes"),
                arguments("only half a length", new byte[4], "has 4 bytes"),
                arguments("header of zero bytes", withLength(0, goodBytes, four), "header of 0 bytes"),
                arguments("negative length", withLength(-1, goodBytes, four), "header of 18446744073709551615 bytes"),
                arguments("length over the limit", withLength(100_000_001, goodBytes, four), "header of 100000001"),
                arguments("length past the end", withLength(1000, goodBytes, four), "is truncated"),
                arguments("length one short", withLength(goodBytes.length - 1, goodBytes, four), "not valid JSON"),
                arguments("length one long", withLength(goodBytes.length + 1, goodBytes, four), "not valid JSON"),
                arguments("truncated data", Arrays.copyOf(whole, whole.length - 1), "is truncated"),
                arguments("rest after the data", safetensors(good, new byte[5]), "its tensors take 4 bytes but"),
                arguments("data without tensors", safetensors("{}", four), "its tensors take 0 bytes but"),
                arguments("not an object", safetensors("[]"), "does not start with '{'"),
                arguments("leading blank", safetensors(" " + good, four), "does not start with '{'"),
                arguments("cut JSON", safetensors("{\"a\":{\"dtype\"", four), "not valid JSON"),
                arguments("garbage", safetensors("{\0\0", four), "not valid JSON"),
                arguments("two objects", safetensors(good + "{}", four), "goes on after the JSON object"),
                arguments(
                        "duplicate tensor",
                        safetensors(
                                "{" + entry("a", "F32", "[1]", 0, 4) + "," + entry("a", "F32", "[1]", 0, 4) + "}",
                                four),
                        "not valid JSON"),
                arguments(
                        "duplicate key",
                        safetensors(
                                "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
                                four),
                        "not valid JSON"),
                arguments("metadata no object", safetensors("{\"__metadata__\":3}"), "__metadata__ is"),
                arguments("metadata no text", safetensors("{\"__metadata__\":{\"a\":1}}"), "__metadata__ value is"),
                arguments("tensor no object", safetensors("{\"a\":[]}"), "tensor a is START_ARRAY"),
                arguments(
                        "no dtype",
                        safetensors("{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", four),
                        "tensor a needs"),
                arguments(
                        "no shape",
                        safetensors("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", four),
                        "needs a dtype"),
                arguments(
                        "no offsets",
                        safetensors("{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", four),
                        "two data_offsets"),
                arguments(
                        "three offsets",
                        safetensors("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", four),
                        "two data_offsets"),
                arguments(
                        "dtype no text",
                        safetensors("{\"a\":{\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,4]}}", four),
                        "dtype of tensor a is"),
                arguments("unknown dtype", safetensors("{" + entry("a", "F99", "[1]", 0, 4) + "}", four), "type F99"),
                arguments(
                        "fraction in shape",
                        safetensors("{" + entry("a", "F32", "[1.0]", 0, 4) + "}", four),
                        "shape of"),
                arguments(
                        "text in shape", safetensors("{" + entry("a", "F32", "[\"1\"]", 0, 4) + "}", four), "shape of"),
                arguments("list in shape", safetensors("{" + entry("a", "F32", "[[1]]", 0, 4) + "}", four), "shape of"),
                arguments(
                        "negative extents",
                        safetensors("{" + entry("a", "F32", "[-1,-1]", 0, 4) + "}", four),
                        "not -1"),
                arguments(
                        "extent past 64 bits",
                        safetensors("{" + entry("a", "F32", "[18446744073709551617]", 0, 4) + "}", four),
                        "not 18446744073709551617"),
                arguments(
                        "size overflow",
                        safetensors("{" + entry("a", "F32", "[4294967296,4294967296]", 0, 4) + "}", four),
                        "does not fit 64 bits"),
                arguments(
                        "byte size overflow",
                        safetensors("{" + entry("a", "F32", "[4611686018427387905]", 0, 4) + "}", four),
                        "does not fit 64 bits"),
                arguments(
                        "too many extents",
                        safetensors("{" + entry("a", "F32", ones(33), 0, 4) + "}", four),
                        "at most 32"),
                arguments(
                        "many extents",
                        safetensors("{" + entry("a", "F32", ones(17), 0, 4) + "}", four),
                        "17 dimensions"),
                arguments("negative offset", safetensors("{" + entry("a", "F32", "[1]", -4, 0) + "}", four), "not -4"),
                arguments("backward offsets", safetensors("{" + entry("a", "F32", "[1]", 4, 0) + "}", four), "[4, 0]"),
                arguments(
                        "huge offsets",
                        safetensors("{" + entry("a", "F32", "[1]", Long.MAX_VALUE - 4, Long.MAX_VALUE) + "}", four),
                        "is truncated"),
                arguments("too small", safetensors("{" + entry("a", "F32", "[2]", 0, 4) + "}", four), "takes 8 bytes"),
                arguments("too large", safetensors("{" + entry("a", "F32", "[1]", 0, 8) + "}", new byte[8]), "span 8"),
                arguments(
                        "overlap",
                        safetensors(
                                "{" + entry("a", "F32", "[2]", 0, 8) + "," + entry("b", "F32", "[1]", 4, 8) + "}",
                                new byte[8]),
                        "without overlap"),
                arguments(
                        "alias",
                        safetensors(
                                "{" + entry("a", "F32", "[1]", 0, 4) + "," + entry("b", "F32", "[1]", 0, 4) + "}",
                                four),
                        "without overlap"),
                arguments(
                        "hole",
                        safetensors(
                                "{" + entry("a", "F32", "[1]", 0, 4) + "," + entry("b", "F32", "[1]", 8, 12) + "}",
                                new byte[12]),
                        "without holes"),
                arguments(
                        "control characters in a name",
                        safetensors("{" + entry("a\\nb\\u0000", "F99", "[1]", 0, 4) + "}", four),
                        "tensor a?b? has"));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("badFiles")
    void liesAreRefused(String what, byte[] file, String message) {
        writeSingle(directory, file);
        assertThatThrownBy(() -> Checkpoint.open(directory))
                .as(what)
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("model.safetensors: ")
                .hasMessageContaining(message)
                .message()
                .doesNotContain("\n");
    }

    @Test
    void directoriesWithoutWeightsAreRefused() throws IOException {
        assertThatThrownBy(() -> Checkpoint.open(directory.resolve("absent")))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("no such directory");
        assertThatThrownBy(() -> Checkpoint.open(directory))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("has neither model.safetensors nor model.safetensors.index.json");
        Files.createDirectory(directory.resolve("model.safetensors"));
        assertThatThrownBy(() -> Checkpoint.open(directory))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("no such file");
    }

    private static String ones(int count) {
        return "[" + "1,".repeat(count - 1) + "1]";
    }
}
