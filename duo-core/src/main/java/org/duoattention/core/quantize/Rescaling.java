package org.duoattention.core.quantize;

import java.util.Map;
import org.duoattention.quant.weight.InputCorrection;
import org.duoattention.quant.weight.InputMoments;
import org.jspecify.annotations.Nullable;

/**
 * What is done to weights before they are quantised. Factors leave what the model computes as it is: the inputs of a layer
 * are divided by what its columns are multiplied by, in the operation that comes before. Corrections make up for the
 * rounding of the layers before. All keys are names of tensors.
 *
 * @param columns factor of each column of a matrix
 * @param rowDivisors what each row of a matrix, or each element of a vector, is divided by
 * @param inputs moments of the inputs of each rescaled matrix
 * @param corrections of matrices, applied before the factors
 */
public record Rescaling(
        Map<String, float[]> columns,
        Map<String, float[]> rowDivisors,
        Map<String, InputMoments> inputs,
        Map<String, InputCorrection> corrections) {
    /** Everything stays as it is, and nothing is known of inputs. */
    public static final Rescaling NONE = new Rescaling(Map.of(), Map.of(), Map.of(), Map.of());

    /** Changes some rows of a tensor. A vector is one column. */
    void apply(String name, float[] values, long firstRow, int rows, int width) {
        InputCorrection correction = corrections.get(name);
        if (correction != null) {
            correction.apply(values, rows);
        }
        multiply(name, values, firstRow, rows, width, false);
    }

    /** Takes the factors of some rows back, so that a layer can be used between others that have none. */
    void undoFactors(String name, float[] values, long firstRow, int rows, int width) {
        multiply(name, values, firstRow, rows, width, true);
    }

    private void multiply(String name, float[] values, long firstRow, int rows, int width, boolean inverse) {
        float[] factors = columns.get(name);
        float[] divisors = rowDivisors.get(name);
        if (factors == null && divisors == null) {
            return;
        }
        for (int row = 0; row < rows; row++) {
            float divisor = divisors == null ? 1 : divisors[(int) firstRow + row];
            for (int i = 0; i < width; i++) {
                float factor = factors == null ? 1 : factors[i];
                int at = row * width + i;
                values[at] = inverse ? values[at] * divisor / factor : values[at] * factor / divisor;
            }
        }
    }

    boolean changes(String name) {
        return columns.containsKey(name) || rowDivisors.containsKey(name);
    }

    @Nullable
    InputMoments inputsOf(String name) {
        return inputs.get(name);
    }
}
