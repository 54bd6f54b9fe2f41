package org.duoattention.identify.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class LearningRateScheduleTest {
    /** Worked out by hand from min(1, max((s + 1) / 400, 0.1), max((2000 - s) / 400, 0.1)). */
    @ParameterizedTest
    @CsvSource({
        "0, 0.1",
        "38, 0.1",
        "39, 0.1",
        "59, 0.15",
        "199, 0.5",
        "399, 1",
        "1000, 1",
        "1600, 1",
        "1601, 0.9975",
        "1800, 0.5",
        "1960, 0.1",
        "1999, 0.1"
    })
    void risesAndFallsAsTheAuthorsDo(int step, double factor) {
        assertThat(LearningRateSchedule.of(2000).factor(step)).isCloseTo(factor, within(1e-12));
    }

    @Test
    void aShortRunHasShortRamps() {
        LearningRateSchedule schedule = LearningRateSchedule.of(3);

        assertThat(schedule.ramp()).isOne();
        assertThat(schedule.factor(0)).isOne();
        assertThat(schedule.factor(2)).isOne();
    }
}
