package org.duoattention.quant.weight;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.Random;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class WeightQuantizerTest {
    private static final int ROWS = 17;
    private static final int COLUMNS = 256;

    private final WeightQuantizer quantizer = new WeightQuantizer(2);

    @AfterEach
    void close() {
        quantizer.close();
    }

    @ParameterizedTest
    @CsvSource({
        "4, 32, false",
        "4, 64, false",
        "4, 128, false",
        "4, 32, true",
        "4, 128, true",
        "8, 32, false",
        "8, 256, false",
        "8, 256, true"
    })
    void errorsAreNoLargerThanThoseOfPlainRounding(int bits, int group, boolean asymmetric) throws Exception {
        BlockFormat.Grouped format = new BlockFormat.Grouped(bits, group, asymmetric, DType.F16);
        float[] values = weights(new Random(1));
        QuantizedRows rows = quantizer.quantize(format, values, ROWS, COLUMNS, null);
        float[] read = new float[COLUMNS];
        for (int row = 0; row < ROWS; row++) {
            rows.dequantize(row, read);
            for (int from = 0; from < COLUMNS; from += group) {
                double error = 0;
                for (int i = from; i < from + group; i++) {
                    error += Math.pow(values[row * COLUMNS + i] - read[i], 2);
                }
                double plain = plain(values, row * COLUMNS + from, group, bits, asymmetric);
                // Scales are rounded to binary16, which moves 127 steps by up to 1/16 of one; those of plain rounding
                // are not.
                assertThat(error).isLessThanOrEqualTo(plain * 1.05 + 1e-12);
            }
        }
    }

    /** The squared error of rounding to the nearest of the codes that span the whole range. */
    private static double plain(float[] x, int from, int count, int bits, boolean asymmetric) {
        double low = 0;
        double high = 0;
        for (int i = from; i < from + count; i++) {
            low = Math.min(low, x[i]);
            high = Math.max(high, x[i]);
        }
        int most = (1 << bits) - 1;
        int half = 1 << bits - 1;
        double step = asymmetric ? (high - low) / most : Math.max(high, -low) / (half - 1);
        if (step == 0) {
            return 0;
        }
        double zero = asymmetric ? Math.rint(-low / step) : half;
        double error = 0;
        for (int i = from; i < from + count; i++) {
            double code = Math.clamp(Math.rint(x[i] / step) + zero, 0, most);
            error += Math.pow(x[i] - (code - zero) * step, 2);
        }
        return error;
    }

    @Test
    void theMatrixHoldsWhatTheRowsHold() throws Exception {
        for (boolean asymmetric : new boolean[] {false, true}) {
            QuantizedRows rows = quantizer.quantize(
                    new BlockFormat.Grouped(4, 64, asymmetric, DType.F16), weights(new Random(2)), ROWS, COLUMNS, null);
            float[] read = new float[COLUMNS];
            try (Arena arena = Arena.ofConfined()) {
                QuantizedMatrix matrix = rows.toMatrix(arena);
                for (int row = 0; row < ROWS; row++) {
                    rows.dequantize(row, read);
                    for (int i = 0; i < COLUMNS; i++) {
                        assertThat(matrix.valueAt(row, i)).isCloseTo(read[i], within(1e-12 + 1e-6 * Math.abs(read[i])));
                    }
                }
            }
        }
    }

    @Test
    void piecesOfRowsGiveTheSameAsTheWhole() throws Exception {
        BlockFormat.Grouped format = new BlockFormat.Grouped(4, 128, false, DType.F16);
        float[] values = weights(new Random(3));
        QuantizedRows whole = quantizer.quantize(format, values, ROWS, COLUMNS, null);
        QuantizedRows piece =
                quantizer.quantize(format, Arrays.copyOfRange(values, 8 * COLUMNS, 12 * COLUMNS), 4, COLUMNS, null);

        assertThat(piece.codes()).isEqualTo(Arrays.copyOfRange(whole.codes(), 8 * COLUMNS / 2, 12 * COLUMNS / 2));
        assertThat(piece.scales()).isEqualTo(Arrays.copyOfRange(whole.scales(), 16, 24));
    }

    @Test
    void whatCannotBeQuantisedIsRefused() {
        BlockFormat.Grouped format = new BlockFormat.Grouped(4, 64, false, DType.F16);
        float[] values = new float[128];
        values[70] = Float.NaN;
        assertThatThrownBy(() -> quantizer.quantize(format, values, 1, 128, null))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("holds NaN");
        values[70] = 1e38f;
        assertThatThrownBy(() -> quantizer.quantize(format, values, 1, 128, null))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("more than binary16");
        assertThatThrownBy(() -> quantizer.quantize(format, values, 1, 96, null))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("groups of 64 do not divide");
    }

    /** Blocks of 96 channels lie across groups, so that a scale is shared by parts of two. */
    @ParameterizedTest
    @CsvSource({"4, 128, false, 128", "4, 32, true, 128", "4, 64, false, 96", "8, 256, false, 128", "4, 128, true, 512"
    })
    void knownInputsMakeTheOutputsMoreExact(int bits, int group, boolean asymmetric, int block) throws Exception {
        Random random = new Random(4);
        float[][] inputs = correlated(random);
        InputMoments moments = new InputMoments(COLUMNS, block);
        for (float[] input : inputs) {
            moments.add(input, 0);
        }
        BlockFormat.Grouped format = new BlockFormat.Grouped(bits, group, asymmetric, DType.F16);
        float[] values = weights(new Random(5));
        double plain = outputError(quantizer.quantize(format, values, ROWS, COLUMNS, null), values, inputs);
        double aware = outputError(quantizer.quantize(format, values, ROWS, COLUMNS, moments), values, inputs);
        assertThat(aware).isLessThan(0.7 * plain);
    }

    /** No change of one code, and no other scale of the grid of binary16 beside it, makes the outputs more exact. */
    @Test
    void noCodeAndNoScaleAloneCanBeImproved() throws Exception {
        int columns = 64;
        float[][] inputs = new float[400][];
        Random random = new Random(7);
        InputMoments moments = new InputMoments(columns, columns);
        double[] h = new double[columns * columns];
        for (int t = 0; t < inputs.length; t++) {
            inputs[t] = Arrays.copyOf(correlated(random, 1)[0], columns);
            moments.add(inputs[t], 0);
            for (int i = 0; i < columns; i++) {
                for (int j = 0; j < columns; j++) {
                    h[i * columns + j] += (double) inputs[t][i] * inputs[t][j];
                }
            }
        }
        double trace = 0;
        for (int i = 0; i < columns; i++) {
            trace += h[i * columns + i];
        }
        for (int i = 0; i < columns; i++) {
            h[i * columns + i] += 0.01 * trace / columns;
        }
        float[] values = new float[columns];
        for (int i = 0; i < columns; i++) {
            values[i] = (float) random.nextGaussian();
        }
        BlockFormat.Grouped format = new BlockFormat.Grouped(4, 32, false, DType.F16);
        float[] read = new float[columns];
        quantizer.quantize(format, values, 1, columns, moments).dequantize(0, read);
        double[] error = new double[columns];
        for (int i = 0; i < columns; i++) {
            error[i] = (double) values[i] - read[i];
        }
        double least = quadratic(h, error);
        QuantizedRows rows = quantizer.quantize(format, values, 1, columns, moments);
        for (int i = 0; i < columns; i++) {
            double scale = Float.float16ToFloat(rows.scales()[i / 32]);
            double code = read[i] / scale;
            for (int change = -1; change <= 1; change += 2) {
                if (code + change >= -8 && code + change <= 7) {
                    double[] changed = error.clone();
                    changed[i] -= change * scale;
                    assertThat(quadratic(h, changed)).isGreaterThan(least * (1 - 1e-5));
                }
            }
        }
        for (int group = 0; group < 2; group++) {
            for (int change = -1; change <= 1; change += 2) {
                double scale = Float.float16ToFloat(rows.scales()[group]);
                double other = Float.float16ToFloat((short) (rows.scales()[group] + change));
                double[] changed = error.clone();
                for (int i = group * 32; i < group * 32 + 32; i++) {
                    changed[i] -= read[i] / scale * (other - scale);
                }
                assertThat(quadratic(h, changed)).isGreaterThan(least * (1 - 1e-5));
            }
        }
    }

    private static double quadratic(double[] h, double[] r) {
        double sum = 0;
        for (int i = 0; i < r.length; i++) {
            for (int j = 0; j < r.length; j++) {
                sum += r[i] * h[i * r.length + j] * r[j];
            }
        }
        return sum;
    }

    private static float[][] correlated(Random random) {
        return correlated(random, 512);
    }

    private static float[][] correlated(Random random, int count) {
        float[][] inputs = new float[count][COLUMNS];
        for (float[] input : inputs) {
            double common = random.nextGaussian();
            for (int i = 0; i < COLUMNS; i++) {
                input[i] = (float) (common + 0.5 * random.nextGaussian() * (1 + i % 5));
            }
        }
        return inputs;
    }

    private static double outputError(QuantizedRows rows, float[] values, float[][] inputs) {
        float[] read = new float[COLUMNS];
        double error = 0;
        for (int row = 0; row < ROWS; row++) {
            rows.dequantize(row, read);
            for (float[] input : inputs) {
                double delta = 0;
                for (int i = 0; i < COLUMNS; i++) {
                    delta += (read[i] - values[row * COLUMNS + i]) * input[i];
                }
                error += delta * delta;
            }
        }
        return error;
    }

    @Test
    void theFactorIsThatOfTheInverse() {
        Random random = new Random(6);
        int n = 40;
        InputMoments moments = new InputMoments(n, 128);
        double[] h = new double[n * n];
        for (int t = 0; t < 300; t++) {
            float[] x = new float[n];
            for (int i = 0; i < n; i++) {
                x[i] = (float) random.nextGaussian();
            }
            moments.add(x, 0);
            for (int i = 0; i < n; i++) {
                for (int j = 0; j < n; j++) {
                    h[i * n + j] += (double) x[i] * x[j];
                }
            }
        }
        double trace = 0;
        for (int i = 0; i < n; i++) {
            trace += h[i * n + i];
        }
        float[] upper = moments.factors()[0];
        // transpose(U) U (H + damping) is the identity.
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++) {
                double sum = 0;
                for (int k = 0; k < n; k++) {
                    double inverse = 0;
                    for (int l = 0; l < n; l++) {
                        inverse += (double) upper[l * n + i] * upper[l * n + k];
                    }
                    sum += inverse * (h[k * n + j] + (k == j ? 0.01 * trace / n : 0));
                }
                assertThat(sum).isCloseTo(i == j ? 1 : 0, within(1e-4));
            }
        }
    }

    /** Normal numbers, with rows that are zero, small, one-sided, or have an outlier. */
    private static float[] weights(Random random) {
        float[] values = new float[ROWS * COLUMNS];
        for (int row = 0; row < ROWS; row++) {
            for (int i = 0; i < COLUMNS; i++) {
                double x = random.nextGaussian() * 0.05;
                values[row * COLUMNS + i] = (float)
                        switch (row % 5) {
                            case 1 -> 0;
                            case 2 -> x * 0.2;
                            case 3 -> Math.abs(x);
                            case 4 -> i == 7 ? 3 : x;
                            default -> x;
                        };
            }
        }
        return values;
    }
}
