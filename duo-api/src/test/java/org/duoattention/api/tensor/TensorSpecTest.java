package org.duoattention.api.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class TensorSpecTest {
    @Test
    void countsElementsAndBytes() {
        TensorSpec spec = TensorSpec.of(DType.BF16, 3, 4, 5);
        assertThat(spec.elements()).isEqualTo(60);
        assertThat(spec.byteSize()).isEqualTo(120);
        assertThat(spec.rank()).isEqualTo(3);
        assertThat(spec.rows()).isEqualTo(3);
        assertThat(spec.rowElements()).isEqualTo(20);
        assertThat(spec.withRows(7)).isEqualTo(TensorSpec.of(DType.BF16, 7, 4, 5));
        assertThat(spec).hasToString("BF16[3, 4, 5]");
    }

    @Test
    void scalarsAndEmptyTensors() {
        TensorSpec scalar = TensorSpec.of(DType.F64);
        assertThat(scalar.elements()).isEqualTo(1);
        assertThat(scalar.rows()).isEqualTo(1);
        assertThat(scalar.byteSize()).isEqualTo(8);
        assertThat(TensorSpec.of(DType.F32, Long.MAX_VALUE, 0, Long.MAX_VALUE).byteSize())
                .isZero();
    }

    @Test
    void sizesPast64BitsAreRefused() {
        assertThat(TensorSpec.of(DType.U8, 1L << 31, (1L << 32) - 1).byteSize()).isEqualTo((1L << 63) - (1L << 31));
        assertThatThrownBy(() -> TensorSpec.of(DType.U8, 1L << 31, 1L << 32))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> TensorSpec.of(DType.F16, 1L << 62)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> TensorSpec.of(DType.F32, Long.MAX_VALUE, Long.MAX_VALUE))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("64 bits");
    }

    @Test
    void negativeExtentsAreRefused() {
        assertThatThrownBy(() -> TensorSpec.of(DType.F32, 4, -1))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("[4, -1]");
        assertThatThrownBy(() -> TensorSpec.of(DType.F32, 0, -1)).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void theShapeIsCopied() {
        List<Long> shape = new ArrayList<>(List.of(2L, 3L));
        TensorSpec spec = new TensorSpec(DType.F32, shape);
        shape.set(0, 99L);
        assertThat(spec.rows()).isEqualTo(2);
    }

    @Test
    void hostTensorsHaveExactlyTheirBytesAndReadThem() {
        TensorSpec spec = TensorSpec.of(DType.F16, 2);
        assertThatThrownBy(() -> new HostTensor(spec, MemorySegment.ofArray(new byte[5])))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("5");
        // 1.5 in binary16 is 0x3e00, in bfloat16 0x3fc0, little-endian.
        HostTensor half = new HostTensor(spec, MemorySegment.ofArray(new byte[] {0, 0x3c, 0, 0x3e}));
        assertThat(half.floatAt(1)).isEqualTo(1.5f);
        HostTensor brain =
                new HostTensor(TensorSpec.of(DType.BF16, 1), MemorySegment.ofArray(new byte[] {(byte) 0xc0, 0x3f}));
        assertThat(brain.floatAt(0)).isEqualTo(1.5f);
        HostTensor integer = new HostTensor(TensorSpec.of(DType.I8, 1), MemorySegment.ofArray(new byte[1]));
        assertThatThrownBy(() -> integer.floatAt(0)).isInstanceOf(UnsupportedOperationException.class);
    }
}
