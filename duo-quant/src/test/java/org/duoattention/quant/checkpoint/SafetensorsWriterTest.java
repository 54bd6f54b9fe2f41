package org.duoattention.quant.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.TensorSpec;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SafetensorsWriterTest {
    @TempDir
    Path folder;

    @Test
    void theBytesAreThoseOfTheFormat() throws IOException {
        Path file = folder.resolve("a.safetensors");
        Map<String, TensorSpec> tensors = Map.of(
                "b", TensorSpec.of(DType.BF16, 3),
                "a", TensorSpec.of(DType.F16, 1, 2),
                "z\"", TensorSpec.of(DType.F32, 1));
        try (SafetensorsWriter writer = SafetensorsWriter.create(file, tensors, Map.of("format", "pt"))) {
            writer.append("b", 1f);
            writer.append("z\"", -2f);
            writer.append("b", 0.5f, 3.14159f);
            writer.write("a", new HostTensor(tensors.get("a"), MemorySegment.ofArray(new byte[] {1, 2, 3, 4})));
            writer.finish();
        }
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
        int header = Math.toIntExact(bytes.getLong());
        assertThat(header % 8).isZero();
        byte[] json = new byte[header];
        bytes.get(json);
        assertThat(new String(json, StandardCharsets.UTF_8).strip())
                .isEqualTo("{\"__metadata__\":{\"format\":\"pt\"},"
                        + "\"z\\\"\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                        + "\"a\":{\"dtype\":\"F16\",\"shape\":[1,2],\"data_offsets\":[4,8]},"
                        + "\"b\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[8,14]}}");
        byte[] data = new byte[bytes.remaining()];
        bytes.get(data);
        // -2 is C0000000; 1 is 3F80, 0.5 is 3F00, pi rounds up from 40490FD0 to 4049
        assertThat(data).containsExactly(0, 0, 0, 0xC0, 1, 2, 3, 4, 0x80, 0x3F, 0x00, 0x3F, 0x49, 0x40);
    }

    @Test
    void numbersRoundToNearestEven() throws IOException {
        Path file = folder.resolve("r.safetensors");
        Map<String, TensorSpec> tensors = Map.of("w", TensorSpec.of(DType.BF16, 3));
        try (SafetensorsWriter writer = SafetensorsWriter.create(file, tensors, Map.of())) {
            writer.append(
                    "w",
                    Float.intBitsToFloat(0x3F808000),
                    Float.intBitsToFloat(0x3F818000),
                    Float.intBitsToFloat(0x3F808001));
            writer.finish();
        }
        byte[] bytes = Files.readAllBytes(file);
        assertThat(ByteBuffer.wrap(bytes, bytes.length - 6, 6)
                        .slice()
                        .order(ByteOrder.LITTLE_ENDIAN)
                        .asShortBuffer())
                .satisfies(values -> {
                    assertThat(values.get(0)).isEqualTo((short) 0x3F80);
                    assertThat(values.get(1)).isEqualTo((short) 0x3F82);
                    assertThat(values.get(2)).isEqualTo((short) 0x3F81);
                });
    }

    @Test
    void aFileLongerThanTheBufferIsWhole() throws IOException {
        Path file = folder.resolve("long.safetensors");
        float[] values = new float[100_003];
        for (int i = 0; i < values.length; i++) {
            values[i] = i;
        }
        try (SafetensorsWriter writer =
                SafetensorsWriter.create(file, Map.of("w", TensorSpec.of(DType.F32, values.length)), Map.of())) {
            writer.append("w", values);
            writer.finish();
        }
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
        int header = Math.toIntExact(bytes.getLong(0));
        assertThat(bytes.getFloat(8 + header + 4 * 70_001)).isEqualTo(70_001f);
        assertThat(bytes.capacity()).isEqualTo(8 + header + 4 * values.length);
    }

    @Test
    void whatIsNotFinishedLeavesNoFile() throws IOException {
        Path file = folder.resolve("half.safetensors");
        Map<String, TensorSpec> tensors = Map.of("w", TensorSpec.of(DType.F16, 4));
        try (SafetensorsWriter writer = SafetensorsWriter.create(file, tensors, Map.of())) {
            writer.append("w", 1f, 2f);
            assertThatThrownBy(writer::finish).hasMessage("w lacks 4 bytes of F16[4]");
            assertThatThrownBy(() -> writer.append("w", 1f, 2f, 3f)).hasMessageContaining("has room for 4 more bytes");
            assertThatThrownBy(() -> writer.append("w", 70_000f)).hasMessageContaining("too large for F16");
            assertThatThrownBy(() -> writer.append("v", 1f)).hasMessage("the header has no tensor v");
        }
        assertThat(file).doesNotExist();
    }
}
