package org.duoattention.identify.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import org.junit.jupiter.api.Test;

class AccuracyCurveTest {
    private final AccuracyCurve curve = new AccuracyCurve(
            "a",
            List.of(0.0, 0.25, 0.5, 1.0),
            List.of(List.of(0.0, 0.0, 0.0), List.of(0.2, 0.5, 0.8), List.of(0.9, 1.0, 0.95), List.of(1.0, 1.0, 1.0)));

    @Test
    void meansAndDeviationsAreThoseOfASample() {
        assertThat(curve.patterns()).isEqualTo(3);
        assertThat(curve.mean(1)).isCloseTo(0.5, within(1e-12));
        // Deviations of -0.3, 0 and 0.3: the square root of 0.18 / 2.
        assertThat(curve.deviation(1)).isCloseTo(0.3, within(1e-12));
        assertThat(curve.deviation(3)).isZero();
        assertThat(new AccuracyCurve("a", List.of(0.5), List.of(List.of(0.7))).deviation(0))
                .isZero();
    }

    @Test
    void theSmallestShareThatIsEnough() {
        assertThat(curve.smallest(0.95)).hasValue(0.5);
        assertThat(curve.smallest(0.5)).hasValue(0.25);
        assertThat(curve.smallest(0)).hasValue(0);
        assertThat(curve.smallest(1.01)).isEmpty();
        // The mean of three times 0.99 is less than 0.99 in binary.
        assertThat(new AccuracyCurve("a", List.of(0.5), List.of(List.of(0.99, 0.99, 0.99))).smallest(0.99 * 1.0))
                .hasValue(0.5);
    }

    @Test
    void everyShareHasAnAccuracy() {
        assertThatThrownBy(() -> new AccuracyCurve("a", List.of(0.5, 1.0), List.of(List.of(0.7))))
                .isInstanceOf(IllegalArgumentException.class);
    }
}
