package org.duoattention.identify.train;

/**
 * The optimiser AdamW (arXiv 1711.05101) without weight decay, which makes it Adam (arXiv 1412.6980), in double precision and in PyTorch's order
 * of operations.
 */
final class AdamW {
    private static final double BETA1 = 0.9;
    private static final double BETA2 = 0.999;
    private static final double EPSILON = 1e-8;

    private AdamW() {}

    /**
     * One update, in place.
     *
     * @param values what is optimised
     * @param first running means of the gradient
     * @param second running means of its square
     * @param gradient of this step
     * @param rate learning rate of this step
     * @param update 1 for the first update
     */
    static void update(
            double[][] values, double[][] first, double[][] second, double[][] gradient, double rate, int update) {
        double bias1 = 1 - StrictMath.pow(BETA1, update);
        double bias2 = Math.sqrt(1 - StrictMath.pow(BETA2, update));
        for (int i = 0; i < values.length; i++) {
            for (int j = 0; j < values[i].length; j++) {
                double g = gradient[i][j];
                first[i][j] = BETA1 * first[i][j] + (1 - BETA1) * g;
                second[i][j] = BETA2 * second[i][j] + (1 - BETA2) * g * g;
                values[i][j] -= rate / bias1 * first[i][j] / (Math.sqrt(second[i][j]) / bias2 + EPSILON);
            }
        }
    }
}
