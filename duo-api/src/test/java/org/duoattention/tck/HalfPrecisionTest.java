package org.duoattention.tck;

import static org.assertj.core.api.Assertions.assertThat;

import org.duoattention.api.tensor.DType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class HalfPrecisionTest {
    @ParameterizedTest
    @CsvSource({
        "1, 0x3c00",
        "-2, 0xc000",
        "65504, 0x7bff",
        "65519, 0x7bff",
        "65520, 0x7c00",
        "0.333251953125, 0x3555",
        "6.103515625e-5, 0x0400",
        "5.9604644775390625e-8, 0x0001",
        "2.98023223876953125e-8, 0x0000",
        "8.94069671630859375e-8, 0x0002",
        "1.00048828125, 0x3c00",
        "1.00146484375, 0x3c02",
        "-0.0, 0x8000",
    })
    void binary16(double value, String bits) {
        assertThat(HalfPrecision.bits(DType.F16, value))
                .isEqualTo((short) Integer.decode(bits).intValue());
    }

    @ParameterizedTest
    @CsvSource({
        "1, 0x3f80",
        "-2, 0xc000",
        "3.140625, 0x4049",
        "1.00390625, 0x3f80",
        "1.01171875, 0x3f82",
        "3.4e38, 0x7f80",
        "3.38e38, 0x7f7e",
    })
    void bfloat16(double value, String bits) {
        assertThat(HalfPrecision.bits(DType.BF16, value))
                .isEqualTo((short) Integer.decode(bits).intValue());
    }

    @Test
    void everyBinary16AgreesWithTheJdk() {
        for (int i = 0; i < 1 << 16; i++) {
            float value = Float.float16ToFloat((short) i);
            assertThat(HalfPrecision.value(DType.F16, (short) i)).isEqualTo((Double) (double) value);
            if (!Float.isNaN(value)) {
                assertThat(HalfPrecision.bits(DType.F16, value)).isEqualTo((short) i);
                float between = Math.nextUp(value) + Math.ulp(value) * 1000;
                assertThat(HalfPrecision.bits(DType.F16, between)).isEqualTo(Float.floatToFloat16(between));
            }
        }
    }

    @Test
    void everyBfloat16IsTheUpperHalfOfAFloat() {
        for (int i = 0; i < 1 << 16; i++) {
            float value = Float.intBitsToFloat(i << 16);
            assertThat(HalfPrecision.value(DType.BF16, (short) i)).isEqualTo((Double) (double) value);
            if (!Float.isNaN(value)) {
                assertThat(HalfPrecision.bits(DType.BF16, value)).isEqualTo((short) i);
                assertThat(HalfPrecision.round(DType.BF16, value)).isEqualTo(value);
            }
        }
    }
}
