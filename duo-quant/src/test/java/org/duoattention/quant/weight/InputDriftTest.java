package org.duoattention.quant.weight;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class InputDriftTest {
    private static final int WIDTH = 20;
    private static final int INPUTS = 500;

    /**
     * The corrected row is the ridge regression of the original's outputs on the changed inputs, towards the original row:
     * its gradient {@code E[(w' x - w o) x_i] + d (w'_i - w_i)} is zero, within blocks.
     */
    @ParameterizedTest
    @ValueSource(ints = {WIDTH, 8})
    void theGradientOfTheRegularisedErrorIsZero(int block) {
        Random random = new Random(1);
        float[][] original = new float[INPUTS][WIDTH];
        float[][] changed = new float[INPUTS][WIDTH];
        fill(random, original, changed);
        float[] row = new float[WIDTH];
        for (int i = 0; i < WIDTH; i++) {
            row[i] = (float) random.nextGaussian();
        }
        float[] corrected = row.clone();
        correction(original, changed, block).apply(corrected, 1);

        for (int first = 0; first < WIDTH; first += block) {
            int end = Math.min(WIDTH, first + block);
            double trace = 0;
            for (float[] x : changed) {
                for (int i = first; i < end; i++) {
                    trace += (double) x[i] * x[i];
                }
            }
            double damping = 0.1 * trace / (end - first);
            for (int i = first; i < end; i++) {
                double gradient = damping * (corrected[i] - row[i]);
                for (int t = 0; t < INPUTS; t++) {
                    double error = 0;
                    for (int j = first; j < end; j++) {
                        error += (double) corrected[j] * changed[t][j] - (double) row[j] * original[t][j];
                    }
                    gradient += error * changed[t][i];
                }
                assertThat(gradient / trace).isCloseTo(0, within(1e-6));
            }
        }
    }

    @Test
    void outputsComeNearerToTheOriginals() {
        Random random = new Random(2);
        float[][] original = new float[INPUTS][WIDTH];
        float[][] changed = new float[INPUTS][WIDTH];
        fill(random, original, changed);
        InputCorrection correction = correction(original, changed, WIDTH);
        float[] rows = new float[3 * WIDTH];
        for (int i = 0; i < rows.length; i++) {
            rows[i] = (float) random.nextGaussian();
        }
        float[] corrected = rows.clone();
        correction.apply(corrected, 3);
        double before = 0;
        double after = 0;
        for (int t = 0; t < INPUTS; t++) {
            for (int row = 0; row < 3; row++) {
                before += Math.pow(dot(rows, row, changed[t]) - dot(rows, row, original[t]), 2);
                after += Math.pow(dot(corrected, row, changed[t]) - dot(rows, row, original[t]), 2);
            }
        }
        assertThat(after).isLessThan(before / 2);
    }

    @Test
    void inputsThatAreTheSameNeedNoCorrection() {
        float[][] same = new float[INPUTS][WIDTH];
        fill(new Random(3), same, new float[INPUTS][WIDTH]);
        float[] row = new float[WIDTH];
        row[3] = 1;
        float[] corrected = row.clone();
        correction(same, same, WIDTH).apply(corrected, 1);
        assertThat(corrected).containsExactly(row);
    }

    /** Channels that depend on each other, and a tenth of each that goes over to its neighbour. */
    private static void fill(Random random, float[][] original, float[][] changed) {
        for (int t = 0; t < INPUTS; t++) {
            double common = random.nextGaussian();
            for (int i = 0; i < WIDTH; i++) {
                original[t][i] = (float) (common + random.nextGaussian());
            }
            for (int i = 0; i < WIDTH; i++) {
                changed[t][i] = (float)
                        (0.8 * original[t][i] + 0.1 * original[t][(i + 1) % WIDTH] + 0.05 * random.nextGaussian());
            }
        }
    }

    private static InputCorrection correction(float[][] original, float[][] changed, int block) {
        InputMoments moments = new InputMoments(WIDTH, block);
        InputDrift drift = new InputDrift(moments);
        for (int t = 0; t < INPUTS; t++) {
            moments.add(changed[t], 0);
            drift.add(changed[t], original[t], 0);
        }
        return drift.correction();
    }

    private static double dot(float[] rows, int row, float[] x) {
        double sum = 0;
        for (int i = 0; i < WIDTH; i++) {
            sum += (double) rows[row * WIDTH + i] * x[i];
        }
        return sum;
    }
}
