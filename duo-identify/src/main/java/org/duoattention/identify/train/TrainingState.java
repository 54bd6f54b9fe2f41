package org.duoattention.identify.train;

import java.util.Arrays;
import org.duoattention.api.model.ModelShape;

/**
 * Everything that a run needs to go on: the gates as the last update left them, not yet clamped, the optimiser's running
 * means, and what every step measured. Arrays are shared, not copied: whoever gets a state does not change them.
 *
 * @param step steps that are done
 * @param gates layers x KV heads
 * @param first running means of the gradient
 * @param second running means of its square
 * @param distill of every step that is done
 * @param regularisation likewise
 */
record TrainingState(
        int step, double[][] gates, double[][] first, double[][] second, double[] distill, double[] regularisation) {
    /** Every head counts as a retrieval head at first. */
    static TrainingState initial(ModelShape shape) {
        double[][] gates = zeros(shape);
        for (double[] layer : gates) {
            Arrays.fill(layer, 1);
        }
        return new TrainingState(0, gates, zeros(shape), zeros(shape), new double[0], new double[0]);
    }

    private static double[][] zeros(ModelShape shape) {
        return new double[shape.layers()][shape.kvHeads()];
    }

    /** The gates within 0 to 1. */
    double[][] clamped() {
        return Arrays.stream(gates)
                .map(layer -> Arrays.stream(layer)
                        .map(gate -> Math.clamp(gate, 0.0, 1.0))
                        .toArray())
                .toArray(double[][]::new);
    }

    /** The state after one more step. */
    TrainingState after(double[][] gradient, double rate, double stepDistill, double stepRegularisation) {
        double[][] values = clamped();
        double[][] means = copy(first);
        double[][] squares = copy(second);
        AdamW.update(values, means, squares, gradient, rate, step + 1);
        return new TrainingState(
                step + 1, values, means, squares, plus(distill, stepDistill), plus(regularisation, stepRegularisation));
    }

    private static double[][] copy(double[][] rows) {
        return Arrays.stream(rows).map(double[]::clone).toArray(double[][]::new);
    }

    private static double[] plus(double[] values, double value) {
        double[] longer = Arrays.copyOf(values, values.length + 1);
        longer[values.length] = value;
        return longer;
    }
}
