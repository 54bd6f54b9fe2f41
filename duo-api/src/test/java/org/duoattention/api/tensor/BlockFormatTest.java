package org.duoattention.api.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class BlockFormatTest {
    @Test
    void denseRows() {
        assertThat(BlockFormat.F32.rowBytes(128)).isEqualTo(512);
        assertThat(BlockFormat.F16.rowBytes(13)).isEqualTo(26);
        assertThat(BlockFormat.BF16.label()).isEqualTo("bf16");
        assertThatThrownBy(() -> BlockFormat.F32.rowBytes(Long.MAX_VALUE)).isInstanceOf(ArithmeticException.class);
        assertThatThrownBy(() -> new BlockFormat.Dense(DType.I8)).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void groupedRowsIncludeScalesAndZeroPoints() {
        // Upstream's 4-bit cache: 64 bytes and two fp16 numbers for a row of 128.
        BlockFormat kv4 = new BlockFormat.Grouped(4, 128, true, DType.F16);
        assertThat(kv4.rowBytes(128)).isEqualTo(68);
        assertThat(kv4.rowBytes(256)).isEqualTo(136);
        assertThat(kv4.label()).isEqualTo("int4");
        assertThat(new BlockFormat.Grouped(8, 32, false, DType.F32).rowBytes(64))
                .isEqualTo(64 + 8);
        assertThatThrownBy(() -> kv4.rowBytes(100)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> new BlockFormat.Grouped(3, 32, true, DType.F16))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> new BlockFormat.Grouped(4, 31, true, DType.F16))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> new BlockFormat.Grouped(4, 0, true, DType.F16))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> new BlockFormat.Grouped(4, 32, true, DType.BF16))
                .isInstanceOf(IllegalArgumentException.class);
    }
}
