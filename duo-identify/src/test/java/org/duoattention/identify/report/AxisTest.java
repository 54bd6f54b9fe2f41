package org.duoattention.identify.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import org.junit.jupiter.api.Test;

class AxisTest {
    private static List<String> labels(Axis axis) {
        return axis.ticks().stream().map(axis::label).toList();
    }

    @Test
    void labelsOfAnAxisHaveOneFormat() {
        assertThat(labels(Axis.to("", 0, 100))).containsExactly("0", "20", "40", "60", "80", "100");
        assertThat(labels(Axis.to("", 0, 1))).containsExactly("0.0", "0.2", "0.4", "0.6", "0.8", "1.0");
        assertThat(labels(Axis.to("", 0, 200))).containsExactly("0", "50", "100", "150", "200");
        assertThat(labels(Axis.to("", 0, 7))).containsExactly("0", "2", "4", "6");
        assertThat(labels(Axis.to("", 0, 2000))).containsExactly("0", "500", "1,000", "1,500", "2,000");
    }

    @Test
    void anAxisThatCoversItsValuesEndsWithATick() {
        Axis axis = Axis.covering("distance", 0, 0.0371);
        assertThat(labels(axis)).containsExactly("0.00", "0.01", "0.02", "0.03", "0.04");
        assertThat(axis.share(0.02)).isCloseTo(0.5, within(1e-12));
        assertThat(axis.share(1)).isEqualTo(1);
        assertThat(axis.value(0.0371)).isEqualTo("0.037");
        assertThat(axis.title()).isEqualTo("distance");
    }

    @Test
    void tinyValuesAreMultiplesOfAPowerOfTen() {
        Axis axis = Axis.covering("distance", 0, 3.1e-5);
        assertThat(labels(axis)).containsExactly("0", "1", "2", "3", "4");
        assertThat(axis.title()).isEqualTo("distance, 10^-5");
        assertThat(axis.value(3.1e-5)).isEqualTo("3.1");
    }

    @Test
    void anAxisWithoutLengthGetsOne() {
        assertThat(labels(Axis.covering("", 0, 0))).hasSizeGreaterThan(1);
    }
}
