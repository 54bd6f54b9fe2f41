package org.duoattention.core.load.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Arrays;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.core.DuoException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Every block type against the values that the reference library gives ({@code gguf_blocks.py}). */
class BlockDecoderTest {
    private static final Path BLOCKS = Path.of("src", "test", "resources", "gguf", "blocks.gguf");

    @ParameterizedTest
    @EnumSource(names = {"Q4_0", "Q4_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"})
    void valuesAreThoseOfTheReferenceLibrary(GgufType type) {
        try (Arena arena = Arena.ofShared()) {
            GgufFile file = GgufFile.map(BLOCKS, arena);
            QuantizedMatrix matrix = decode(file, type.name(), arena);
            GgufTensorInfo info = file.header().tensors().get(type.name() + ".values");
            HostTensor expected = new HostTensor(TensorSpec.of(DType.F32, info.shape()), file.bytes(info));

            assertThat(info.shape()).containsExactly(3, 512);
            for (int row = 0; row < 3; row++) {
                for (int column = 0; column < 512; column++) {
                    // The library rounds once more, where it adds the offset.
                    float value = expected.floatAt(row * 512L + column);
                    assertThat((float) matrix.valueAt(row, column))
                            .as("%s %d %d", type, row, column)
                            .isEqualTo(value, within(Math.abs(value) * 1e-6f + 1e-7f));
                }
            }
        }
    }

    @ParameterizedTest
    @CsvSource({
        "Q4_0, 4, 32, false, F16",
        "Q8_0, 8, 32, false, F16",
        "Q4_1, 4, 32, true, F32",
        "Q4_K, 4, 32, true, F32",
        "Q5_K, 8, 32, true, F32",
        "Q6_K, 8, 16, false, F32"
    })
    void formats(GgufType type, int bits, int group, boolean asymmetric, DType scaleType) {
        assertThat(BlockDecoder.of(type).orElseThrow().format())
                .isEqualTo(new BlockFormat.Grouped(bits, group, asymmetric, scaleType));
    }

    @Test
    void rowsCanBeTakenInAnotherOrder() {
        try (Arena arena = Arena.ofShared()) {
            GgufFile file = GgufFile.map(BLOCKS, arena);
            QuantizedMatrix straight = decode(file, "Q4_K", arena);
            QuantizedMatrix turned = new QuantizedRows(stored(file, "Q4_K"), new Q4K(), row -> 2 - row).decode(arena);

            for (int column = 0; column < 512; column++) {
                assertThat(turned.valueAt(0, column)).isEqualTo(straight.valueAt(2, column));
                assertThat(turned.valueAt(2, column)).isEqualTo(straight.valueAt(0, column));
            }
        }
    }

    @ParameterizedTest
    @CsvSource({
        "Q4_0, 0",
        "Q4_1, 0",
        "Q4_1, 2",
        "Q8_0, 0",
        "Q4_K, 0",
        "Q4_K, 2",
        "Q5_K, 0",
        "Q5_K, 2",
        "Q6_K, 208",
    })
    void scalesThatAreNotFiniteAreRefused(GgufType type, int at) {
        for (int bits : new int[] {0x7e00, 0x7c00, 0xfc00}) {
            byte[] block = new byte[type.blockBytes()];
            Arrays.fill(block, (byte) 0x11);
            block[at] = (byte) bits;
            block[at + 1] = (byte) (bits >> 8);
            GgufTensorInfo info = new GgufTensorInfo(
                    "blk.0.ffn_up.weight", type, new long[] {1, type.blockElements()}, 0, block.length);
            StoredGgufTensor stored = new StoredGgufTensor(Path.of("m.gguf"), info, MemorySegment.ofArray(block));
            try (Arena arena = Arena.ofShared()) {
                QuantizedRows rows =
                        new QuantizedRows(stored, BlockDecoder.of(type).orElseThrow(), row -> row);
                assertThatThrownBy(() -> rows.decode(arena))
                        .isInstanceOf(DuoException.class)
                        .hasMessageContainingAll("m.gguf", "blk.0.ffn_up.weight", type.name(), "row 0", "finite");
            }
        }
    }

    private static QuantizedMatrix decode(GgufFile file, String name, Arena arena) {
        StoredGgufTensor stored = stored(file, name);
        BlockDecoder decoder = BlockDecoder.of(stored.info().type()).orElseThrow();
        return new QuantizedRows(stored, decoder, row -> row).decode(arena);
    }

    private static StoredGgufTensor stored(GgufFile file, String name) {
        GgufTensorInfo info = file.header().tensors().get(name);
        return new StoredGgufTensor(file.path(), info, file.bytes(info));
    }
}
