package org.duoattention.core.head;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Map;
import org.duoattention.api.head.HeadMask;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class HeadSelectionTest {
    private static final HeadPattern TIES =
            new HeadPattern(new double[][] {{0.5, 1, 0.5, 0}, {1, 0.5, 0, 0.5}, {0.5, 0.9, 1.0, -1}}, 1, 1, Map.of());

    @Test
    void tiesGoToTheEarlierLayerThenTheEarlierHead() {
        // By hand: three ones, then 0.9, then the 0.5s of (0,0), (0,2), (1,1), (1,3), (2,0).
        assertThat(sparsity(TIES, 0.5)).isEqualTo("{0, 1, 2} {0} {1, 2}");
        assertThat(sparsity(TIES, 0.75)).isEqualTo("{1} {0} {2}");
        assertThat(sparsity(TIES, 0.25)).isEqualTo("{0, 1, 2} {0, 1, 3} {0, 1, 2}");
        assertThat(sparsity(TIES, 0)).isEqualTo("{0, 1, 2, 3} {0, 1, 2, 3} {0, 1, 2, 3}");
        assertThat(sparsity(TIES, 1)).isEqualTo("{} {} {}");
    }

    @Test
    void aThresholdIsReachedByEqualScores() {
        assertThat(show(new HeadSelection.ByThreshold(0.9).select(TIES))).isEqualTo("{1} {0} {1, 2}");
        assertThat(show(new HeadSelection.ByThreshold(0.5).select(TIES))).isEqualTo("{0, 1, 2} {0, 1, 3} {0, 1, 2}");
        assertThat(show(new HeadSelection.ByThreshold(1).select(TIES))).isEqualTo("{1} {0} {2}");
    }

    @ParameterizedTest
    @CsvSource({
        // heads, sparsity, kept: (1 - sparsity) * heads by hand, halves up.
        "16, 0.5, 8",
        "16, 0.8125, 3",
        "10, 0.55, 5",
        "10, 0.45, 6",
        "10, 0.56, 4",
        "3, 0.5, 2",
        "1, 0.5, 1",
        "1, 0.51, 0",
        "1000, 0.9995, 1",
        "1000, 0.9996, 0",
        "7, 0.1, 6"
    })
    void keepsExactlyTheAskedShare(int heads, double sparsity, int kept) {
        HeadPattern pattern = new HeadPattern(new double[1][heads], 1, 1, Map.of());
        assertThat(new HeadSelection.BySparsity(sparsity).select(pattern).retrievalCount())
                .isEqualTo(kept);
    }

    @ParameterizedTest
    @ValueSource(doubles = {-0.001, 1.001, Double.NaN, Double.POSITIVE_INFINITY})
    void sharesOutsideTheRangeAreRefused(double value) {
        assertThatThrownBy(() -> new HeadSelection.BySparsity(value)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> new HeadSelection.ByThreshold(value)).isInstanceOf(IllegalArgumentException.class);
    }

    private static String sparsity(HeadPattern pattern, double sparsity) {
        return show(new HeadSelection.BySparsity(sparsity).select(pattern));
    }

    private static String show(HeadMask mask) {
        StringBuilder text = new StringBuilder();
        for (int layer = 0; layer < mask.layers(); layer++) {
            text.append(layer == 0 ? "" : " ").append(mask.retrieval(layer));
        }
        return text.toString();
    }
}
