package org.duoattention.quant.checkpoint;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.quant.weight.QuantizedRows;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class PackedMatrixTest {
    private static final BlockFormat.Grouped FORMAT = new BlockFormat.Grouped(4, 4, true, DType.F16);

    @TempDir
    Path directory;

    /** Ten rows of eight numbers in two groups; the zero point of row r and group g is r + 1 + g, in words of eight rows. */
    @Test
    void zeroPointsArePackedAlongTheRows() throws IOException {
        Path file = directory.resolve("m.safetensors");
        PackedMatrix matrix = new PackedMatrix("m", FORMAT, 10, 8);
        try (SafetensorsWriter writer = SafetensorsWriter.create(file, matrix.tensors(), Map.of())) {
            matrix.append(writer, rows(0, 8));
            matrix.append(writer, rows(8, 2));
            writer.finish();
        }
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file)).order(ByteOrder.LITTLE_ENDIAN);
        int data = 8 + (int) bytes.getLong(0);
        String header = new String(bytes.array(), 8, data - 8, StandardCharsets.UTF_8);
        assertThat(header)
                .contains("\"m.weight_shape\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[0,16]}")
                .contains("\"m.weight_packed\":{\"dtype\":\"I32\",\"shape\":[10,1],\"data_offsets\":[16,56]}")
                .contains("\"m.weight_zero_point\":{\"dtype\":\"I32\",\"shape\":[2,2],\"data_offsets\":[56,72]}")
                .contains("\"m.weight_scale\":{\"dtype\":\"F16\",\"shape\":[10,2],\"data_offsets\":[72,112]}");
        assertThat(bytes.getLong(data)).isEqualTo(10);
        assertThat(bytes.getLong(data + 8)).isEqualTo(8);
        // Row 3: codes 3, 4, 5, 6, 7, 8, 9, 10 from the lowest four bits up.
        assertThat(bytes.getInt(data + 16 + 4 * 3)).isEqualTo(0xa9876543);
        assertThat(bytes.getInt(data + 56)).isEqualTo(0x87654321);
        assertThat(bytes.getInt(data + 60)).isEqualTo(0x98765432);
        assertThat(bytes.getInt(data + 64)).isEqualTo(0xa9);
        assertThat(bytes.getInt(data + 68)).isEqualTo(0xba);
        assertThat(bytes.getShort(data + 72 + 2 * 19)).isEqualTo((short) 19);
    }

    private static QuantizedRows rows(int first, int count) {
        byte[] codes = new byte[count * 4];
        short[] scales = new short[count * 2];
        byte[] zeros = new byte[count * 2];
        for (int row = 0; row < count; row++) {
            for (int i = 0; i < 4; i++) {
                int low = first + row + 2 * i & 0xf;
                codes[row * 4 + i] = (byte) (low | (low + 1 & 0xf) << 4);
            }
            for (int group = 0; group < 2; group++) {
                scales[row * 2 + group] = (short) ((first + row) * 2 + group);
                zeros[row * 2 + group] = (byte) (first + row + 1 + group);
            }
        }
        return new QuantizedRows(FORMAT, count, 8, codes, scales, zeros);
    }

    @Test
    void whatDoesNotFitIsRefused() {
        assertThatThrownBy(() -> new PackedMatrix("m", FORMAT, 4, 6)).hasMessageContaining("do not divide");
        BlockFormat.Grouped byTwo = new BlockFormat.Grouped(4, 2, false, DType.F16);
        assertThatThrownBy(() -> new PackedMatrix("m", byTwo, 4, 6)).hasMessageContaining("32-bit words");
    }
}
