package org.duoattention.core.cache;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Locale;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.core.DuoException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class KvTypeTest {
    @ParameterizedTest
    @CsvSource({
        "int8, 64, 8, 64",
        "INT4, 128, 4, 128",
        "int4, 256, 4, 64",
        "int8/32, 128, 8, 32",
        "int4/128, 256, 4, 128"
    })
    void quantizedTypes(String text, int headDim, int bits, int group) {
        assertThat(KvType.isValid(text)).isTrue();
        BlockFormat format = KvType.parse(text).format(headDim);
        assertThat(format).isEqualTo(new BlockFormat.Grouped(bits, group, true, DType.F16));
        assertThat(KvType.name(format, headDim)).isEqualTo(text.toLowerCase(Locale.ROOT));
    }

    @Test
    void plainTypes() {
        assertThat(KvType.parse("f32").format(13)).isEqualTo(BlockFormat.F32);
        assertThat(KvType.name(BlockFormat.F32, 13)).isEqualTo("f32");
        assertThat(KvType.parse("F16").format(13)).isEqualTo(BlockFormat.F16);
        assertThat(KvType.parse("bf16").format(13)).isEqualTo(BlockFormat.BF16);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "int5", "int8/", "int8/0", "int8/-1", "int8/99999", "f16/32", "f64", "int8 "})
    void others(String text) {
        assertThat(KvType.isValid(text)).isFalse();
        assertThatThrownBy(() -> KvType.parse(text))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("'" + text + "'")
                .hasMessageContaining("int8/64");
    }

    @ParameterizedTest
    @CsvSource({"int8, 13", "int8/48, 64", "int4/3, 6", "int4, 200"})
    void groupsThatDoNotFitTheHead(String text, int headDim) {
        assertThatThrownBy(() -> KvType.parse(text).format(headDim))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("" + headDim);
    }
}
