package org.duoattention.identify.report;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

class LineChartTest {
    private static final Pattern LINE = Pattern.compile("<polyline points=\"([^\"]*)\" (.*?)/>");

    @Test
    void linesThatCoincideAreToldApart() {
        double[] x = {0, 50, 100};
        double[] y = {0, 95, 95};
        LineChart chart = new LineChart(Axis.to("kept", 0, 100), Axis.to("found", 0, 100));
        for (String name : List.of("a", "b", "c", "d")) {
            chart.line(name, x, y, new double[3], true);
        }
        // A line and its sample in the legend.
        Matcher lines = LINE.matcher(chart.svg());
        List<String> styles = lines.results().map(line -> line.group(2)).toList();
        assertThat(styles).hasSize(8);
        for (int i = 0; i < styles.size(); i += 2) {
            assertThat(styles.get(i + 1)).isEqualTo(styles.get(i));
        }
        List<Double> widths = styles.stream()
                .distinct()
                .map(style -> Double.parseDouble(style.replaceAll(".*stroke-width=\"([^\"]*)\".*", "$1")))
                .toList();
        assertThat(widths)
                .as("those on top are narrower")
                .hasSize(4)
                .isSortedAccordingTo((p, q) -> Double.compare(q, p));
        assertThat(styles.stream()
                        .map(style -> style.replaceAll(".*stroke-dasharray=", ""))
                        .distinct())
                .hasSize(4);
    }
}
