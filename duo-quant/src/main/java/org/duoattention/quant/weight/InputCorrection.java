package org.duoattention.quant.weight;

import java.util.Arrays;

/**
 * A change of weights for inputs that are not those of the original model, because the layers before are rounded already:
 * {@code W + W M}, where {@code M} is the linear map that predicts best, by regularised least squares, what an input has
 * lost from what is left of it. The quantised layer then aims at the outputs of the original on the original's inputs, as
 * in GPTAQ (arXiv 2504.02692) and Qronos (arXiv 2505.11695). Within the blocks of {@link InputMoments}.
 *
 * <p>Immutable.
 */
public final class InputCorrection {
    private final int width;
    private final int block;
    private final float[][] blocks;

    /**
     * A correction.
     *
     * @param blocks {@code M} of every block, row-major
     */
    InputCorrection(int width, int block, float[][] blocks) {
        this.width = width;
        this.block = block;
        this.blocks = blocks;
    }

    /**
     * Changes rows of a matrix.
     *
     * @param values {@code [rows, width]}, row after row; changed
     */
    public void apply(float[] values, int rows) {
        float[] change = new float[Math.min(block, width)];
        for (int row = 0; row < rows; row++) {
            for (int b = 0; b < blocks.length; b++) {
                int size = Math.min(block, width - b * block);
                int at = row * width + b * block;
                Arrays.fill(change, 0);
                for (int j = 0; j < size; j++) {
                    float weight = values[at + j];
                    for (int i = 0; i < size; i++) {
                        change[i] += weight * blocks[b][j * size + i];
                    }
                }
                for (int i = 0; i < size; i++) {
                    values[at + i] += change[i];
                }
            }
        }
    }
}
