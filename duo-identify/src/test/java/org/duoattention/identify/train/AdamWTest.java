package org.duoattention.identify.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

class AdamWTest {
    /**
     * By hand, lr 0.02. First update with gradient 0.5: m = 0.05, v = 0.00025; corrected 0.5 and 0.25; the step is lr. Second
     * with -0.1: m = 0.045 - 0.01 = 0.035, corrected by 0.19; v = 0.00024975 + 0.00001 = 0.00025975, corrected by 0.001999;
     * 0.02 * 0.18421053 / 0.36047 = 0.0102205.
     */
    @Test
    void twoUpdatesByHand() {
        double[][] value = {{1}};
        double[][] first = {{0}};
        double[][] second = {{0}};

        AdamW.update(value, first, second, new double[][] {{0.5}}, 0.02, 1);
        assertThat(value[0][0]).isCloseTo(0.98, within(1e-9));
        assertThat(first[0][0]).isCloseTo(0.05, within(1e-15));
        assertThat(second[0][0]).isCloseTo(0.00025, within(1e-15));

        AdamW.update(value, first, second, new double[][] {{-0.1}}, 0.02, 2);
        assertThat(first[0][0]).isCloseTo(0.035, within(1e-15));
        assertThat(second[0][0]).isCloseTo(0.00025975, within(1e-15));
        double step = 0.02 * (0.035 / 0.19) / (Math.sqrt(0.00025975 / 0.001999) + 1e-8);
        assertThat(value[0][0]).isCloseTo(0.98 - step, within(1e-9));
        assertThat(step).isCloseTo(0.01022052, within(1e-8));
    }

    @Test
    void gatesAreClampedBeforeTheyAreUpdated() {
        TrainingState state = new TrainingState(
                0, new double[][] {{1.5, -0.5}}, new double[1][2], new double[1][2], new double[0], new double[0]);

        TrainingState next = state.after(new double[][] {{1, -1}}, 0.02, 0.25, 0.5);

        assertThat(next.step()).isOne();
        assertThat(next.gates()[0][0]).isCloseTo(0.98, within(1e-9));
        assertThat(next.gates()[0][1]).isCloseTo(0.02, within(1e-9));
        assertThat(next.distill()).containsExactly(0.25);
        assertThat(next.regularisation()).containsExactly(0.5);
        assertThat(state.gates()[0]).containsExactly(1.5, -0.5);
    }
}
