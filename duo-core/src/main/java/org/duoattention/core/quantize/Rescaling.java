package org.duoattention.core.quantize;

import java.util.Map;
import org.duoattention.quant.weight.InputMoments;
import org.jspecify.annotations.Nullable;

/**
 * Factors by which weights are multiplied before they are quantised, such that the model computes the same: the inputs of a
 * layer are divided by what its columns are multiplied by, in the operation that comes before. All keys are names of
 * tensors.
 *
 * @param columns factor of each column of a matrix
 * @param rowDivisors what each row of a matrix, or each element of a vector, is divided by
 * @param inputs moments of the inputs of each rescaled matrix
 */
public record Rescaling(
        Map<String, float[]> columns, Map<String, float[]> rowDivisors, Map<String, InputMoments> inputs) {
    /** Everything stays as it is, and nothing is known of inputs. */
    public static final Rescaling NONE = new Rescaling(Map.of(), Map.of(), Map.of());

    /** Applies the factors of a tensor to some of its rows. A vector is one column. */
    void apply(String name, float[] values, long firstRow, int rows, int width) {
        float[] factors = columns.get(name);
        float[] divisors = rowDivisors.get(name);
        if (factors == null && divisors == null) {
            return;
        }
        for (int row = 0; row < rows; row++) {
            float divisor = divisors == null ? 1 : divisors[(int) firstRow + row];
            for (int i = 0; i < width; i++) {
                float factor = factors == null ? 1 : factors[i];
                values[row * width + i] = values[row * width + i] * factor / divisor;
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
