package org.duoattention.quant.kv;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.SplittableRandom;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class KvCodecTest {
    private final SplittableRandom random = new SplittableRandom(7);

    @ParameterizedTest
    @CsvSource({"8,32", "8,64", "8,128", "4,32", "4,64", "4,128", "4,2"})
    void noElementMovesByMoreThanHalfAStep(int bits, int group) {
        KvCodec codec = new KvCodec(new BlockFormat.Grouped(bits, group, true, DType.F16));
        int largest = codec.format().largestCode();
        for (int trial = 0; trial < 500; trial++) {
            double size = Math.pow(10, random.nextDouble(-9, 4));
            double shift = random.nextDouble(-3, 3) * size;
            float[] row = new float[group];
            for (int i = 0; i < group; i++) {
                row[i] = (float) (shift + size * random.nextDouble(-1, 1));
            }
            short offset = codec.offset(row, 0);
            short scale = codec.scale(row, 0, offset);
            float step = Float.float16ToFloat(scale);
            for (float x : row) {
                int code = codec.code(x, offset, scale);
                assertThat(code).isBetween(0, largest);
                double rounding = 4 * Math.ulp(Math.abs(x) + Math.abs(Float.float16ToFloat(offset)));
                assertThat((double) KvCodec.value(code, offset, scale))
                        .as("%s with offset %s, step %s", x, Float.float16ToFloat(offset), step)
                        .isCloseTo(x, within(step / 2.0 + rounding));
            }
        }
    }

    @Test
    void aHandComputedGroup() {
        KvCodec codec = new KvCodec(new BlockFormat.Grouped(4, 4, true, DType.F16));
        float[] row = {-1f, 0f, 0.26f, 0.875f};
        short offset = codec.offset(row, 0);
        short scale = codec.scale(row, 0, offset);
        assertThat(Float.float16ToFloat(offset)).isEqualTo(-1f);
        // 1.875 / 15
        assertThat(Float.float16ToFloat(scale)).isEqualTo(0.125f);
        assertThat(codec.code(row[1], offset, scale)).isEqualTo(8);
        assertThat(codec.code(row[2], offset, scale)).isEqualTo(10);
        assertThat(codec.code(row[3], offset, scale)).isEqualTo(15);
        assertThat(KvCodec.value(10, offset, scale)).isEqualTo(0.25f);
    }

    @Test
    void constantsAndExtremesAreFinite() {
        KvCodec codec = new KvCodec(new BlockFormat.Grouped(8, 2, true, DType.F16));
        for (float[] row : new float[][] {
            {0, 0}, {1, 1}, {-0.1f, -0.1f}, {65504, -65504}, {1e6f, -1e6f}, {1e-30f, -1e-30f}, {0f, -0f}
        }) {
            short offset = codec.offset(row, 0);
            short scale = codec.scale(row, 0, offset);
            for (float x : row) {
                float value = KvCodec.value(codec.code(x, offset, scale), offset, scale);
                double bound = Math.abs(x) > 65504 ? Math.abs(x) : 1e-3 * Math.abs(x) + 300 * 0x1p-24;
                double span = (row[0] - row[1]) / 255.0;
                assertThat((double) value).isCloseTo(x, within(bound + Math.abs(span)));
            }
        }
    }

    @Test
    void otherFormatsAreRefused() {
        assertThatThrownBy(() -> new KvCodec(new BlockFormat.Grouped(8, 64, false, DType.F16)))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> new KvCodec(new BlockFormat.Grouped(8, 64, true, DType.F32)))
                .isInstanceOf(IllegalArgumentException.class);
    }
}
