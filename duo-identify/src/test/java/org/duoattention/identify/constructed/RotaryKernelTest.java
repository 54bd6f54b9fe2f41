package org.duoattention.identify.constructed;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

/** The gaps that the construction relies on, at every distance that it promises to work for. */
class RotaryKernelTest {
    @Test
    void aPointIsFarAboveEveryOtherDistance() {
        double top = RotaryKernel.POINT.score(0);
        double leaked = 0;
        double closest = Double.MAX_VALUE;
        for (long d = 1; d <= RotaryKernel.MAX_DISTANCE; d++) {
            double gap = top - RotaryKernel.POINT.score(d);
            closest = Math.min(closest, gap);
            // a query looks back only, but an offset of 8 also puts 8 tokens on the other side
            leaked += Math.exp(-gap) * (d <= 8 ? 2 : 1);
        }
        assertThat(closest).isGreaterThan(15.3);
        assertThat(leaked).isLessThan(1e-6);
        assertThat(top - RotaryKernel.POINT.score(1)).isGreaterThan(16.9);
    }

    @Test
    void theNearestIsAboveEverythingFarther() {
        int length = Math.toIntExact(RotaryKernel.MAX_DISTANCE);
        double best = Double.NEGATIVE_INFINITY;
        double[] bestFrom = new double[32];
        for (int d = length; d >= 0; d--) {
            best = Math.max(best, RotaryKernel.NEAREST.score(d));
            if (d < bestFrom.length) {
                bestFrom[d] = best;
            }
        }
        for (int d = 2; d <= ConstructedModel.QUESTION_REACH; d++) {
            double score = RotaryKernel.NEAREST.score(d);
            assertThat(score - bestFrom[d + 8]).as("distance %d", d).isGreaterThan(8.5);
            assertThat(score - bestFrom[24]).as("distance %d", d).isGreaterThan(14);
            assertThat(score).as("a lower distance scores more").isLessThan(RotaryKernel.NEAREST.score(d - 1));
        }
    }
}
