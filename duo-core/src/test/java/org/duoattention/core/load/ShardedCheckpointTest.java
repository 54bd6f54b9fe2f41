package org.duoattention.core.load;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.duoattention.core.load.CheckpointFiles.entry;
import static org.duoattention.core.load.CheckpointFiles.safetensors;
import static org.duoattention.core.load.CheckpointFiles.write;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.duoattention.core.DuoException;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Checkpoints in several files. */
class ShardedCheckpointTest {
    @TempDir
    Path root;

    private Path directory;

    @BeforeEach
    void twoShards() throws IOException {
        directory = Files.createDirectory(root.resolve("model"));
        write(directory.resolve("1.safetensors"), shard("a", 1));
        write(directory.resolve("2.safetensors"), shard("b", 2));
        write(root.resolve("outside.safetensors"), shard("b", 3));
    }

    @Test
    void shardsAreOneSource() {
        index("{\"metadata\":{\"total_size\":8},\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"}}");
        try (Checkpoint checkpoint = Checkpoint.open(directory)) {
            assertThat(checkpoint.names()).containsExactly("a", "b");
            assertThat(checkpoint.totalBytes()).isEqualTo(8);
            // Little-endian, so the first byte is the lowest of the F32's bits.
            assertThat(checkpoint.get("a", 1).floatAt(0)).isEqualTo(Float.intBitsToFloat(1));
            assertThat(checkpoint.get("b", 1).floatAt(0)).isEqualTo(Float.intBitsToFloat(2));
        }
    }

    @Test
    void aSingleFileGoesFirst() {
        index("{}");
        CheckpointFiles.writeSingle(directory, shard("c", 4));
        try (Checkpoint checkpoint = Checkpoint.open(directory)) {
            assertThat(checkpoint.names()).containsExactly("c");
        }
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "../outside.safetensors",
                "./2.safetensors",
                "..\\\\outside.safetensors",
                "sub/2.safetensors",
                "C:2.safetensors",
                "2.bin",
                "..",
                "",
                "2.safetensors\\u0000.safetensors"
            })
    void shardsOutsideTheDirectoryAreRefused(String shard) {
        index("{\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"" + shard + "\"}}");
        refused("weight_map.b is");
    }

    @Test
    void absoluteShardsAreRefused() {
        index("{\"weight_map\":{\"b\":\"" + root.resolve("outside.safetensors") + "\"}}");
        refused("weight_map.b is");
    }

    @Test
    void contradictionsAreRefused() {
        index("{\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"3.safetensors\"}}");
        refused("3.safetensors: no such file");
        index("{\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\",\"c\":\"2.safetensors\"}}");
        refused("says that tensor c lies in 2.safetensors, but it does not");
        index("{\"weight_map\":{\"a\":\"2.safetensors\",\"b\":\"1.safetensors\"}}");
        refused("says that tensor a lies in 2.safetensors, but it does not");
        write(directory.resolve("3.safetensors"), shard("a", 9));
        index("{\"weight_map\":{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\",\"c\":\"3.safetensors\"}}");
        refused("tensor a also lies in");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "[]",
                "{}",
                "{\"weight_map\":{}}",
                "{\"weight_map\":[]}",
                "{\"weight_map\":{\"a\":1}}",
                "{\"weight_map\":{\"a\":null}}",
                "{\"weight_map\":{\"a\":\"1.safetensors\",\"a\":\"1.safetensors\"}}",
                "{\"weight_map\":{\"a\":\"1.safetensors\"}} {}",
                "{\"weight_map\":{\"a\":\"1.safetensors\""
            })
    void malformedIndexesAreRefused(String index) {
        index(index);
        refused("model.safetensors.index.json: ");
    }

    private void index(String json) {
        write(directory.resolve(ShardIndex.FILE_NAME), json);
    }

    private void refused(String message) {
        assertThatThrownBy(() -> Checkpoint.open(directory))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining(message)
                .message()
                .doesNotContain("\n");
    }

    private static byte[] shard(String tensor, int firstByte) {
        return safetensors(
                "{" + entry(tensor, "F32", "[1]", 0, 4) + "}", (byte) firstByte, (byte) 0, (byte) 0, (byte) 0);
    }
}
