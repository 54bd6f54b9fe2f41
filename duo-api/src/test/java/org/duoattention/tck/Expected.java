package org.duoattention.tck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

/**
 * What an operation should give, and how far each element may be off.
 *
 * @param values the oracle's values
 * @param bounds the largest allowed difference of each
 */
record Expected(double[] values, double[] bounds) {
    /** Values that allow no difference. */
    static Expected exactly(double[] values) {
        return new Expected(values, new double[values.length]);
    }

    /** Fails with the worst element unless every one is within its bound. NaN is never within. */
    void check(String what, double[] actual) {
        assertThat(actual).as(what).hasSameSizeAs(values);
        int worst = -1;
        double excess = 1;
        for (int i = 0; i < values.length; i++) {
            double difference = Math.abs(actual[i] - values[i]);
            if (!(difference <= bounds[i])) {
                double ratio = Double.isNaN(difference) ? Double.POSITIVE_INFINITY : difference / bounds[i];
                if (worst < 0 || ratio > excess) {
                    worst = i;
                    excess = ratio;
                }
            }
        }
        if (worst >= 0) {
            fail(
                    "%s: element %d is %s instead of %s; %.3g times the allowed error %.3g",
                    what, worst, actual[worst], values[worst], excess, bounds[worst]);
        }
    }
}
