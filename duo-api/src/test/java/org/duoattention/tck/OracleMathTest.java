package org.duoattention.tck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.stream.IntStream;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.model.ModelShape;
import org.junit.jupiter.api.Test;

/** The oracle on numbers that were worked out by hand. */
class OracleMathTest {
    @Test
    void embed() {
        assertThat(OracleMath.embed(new double[] {1, 2, 3, 4, 5, 6}, 2, new int[] {2, 0}))
                .containsExactly(5, 6, 1, 2);
    }

    @Test
    void rmsNormOfGroups() {
        // Root of the mean of 9 and 16 is sqrt(12.5); of 0 and 8 it is 2 with epsilon on top of 32.
        double[] out = OracleMath.rmsNorm(new double[] {3, 4, 0, 8}, new double[] {1, 10}, 4);
        assertThat(out[0]).isEqualTo(3 / Math.sqrt(16.5));
        assertThat(out[1]).isEqualTo(40 / Math.sqrt(16.5));
        assertThat(out[2]).isZero();
        assertThat(out[3]).isEqualTo(80 / 6.0, within(1e-14));
    }

    @Test
    void linear() {
        double[] out = OracleMath.linear(
                new double[] {1, 2, 3, 4}, new double[] {1, 0, 0, 1, 1, 1}, new double[] {10, 20, 30}, 2, 3);
        assertThat(out).containsExactly(11, 22, 33, 13, 24, 37);
    }

    @Test
    void ropeTurnsElementsAndTheirPartnersHalfAHeadAway() {
        // A quarter turn per token in the first pair, none in the second; one element is left alone.
        Rope rope = new Rope(new double[] {Math.PI / 2, 0}, 2);
        double[] out = OracleMath.rope(new double[] {1, 2, 3, 4, 5}, 5, 5, rope, 1);
        double[] expected = {-6, 4, 2, 8, 5};
        for (int i = 0; i < 5; i++) {
            assertThat(out[i]).isEqualTo(expected[i], within(1e-12));
        }
    }

    @Test
    void swiGlu() {
        assertThat(OracleMath.swiGlu(new double[] {0, Math.log(3)}, new double[] {7, 2}))
                .containsExactly(new double[] {0, 1.5 * Math.log(3)}, within(1e-15));
    }

    @Test
    void softmaxOfLogarithms() {
        assertThat(OracleMath.softmax(new double[] {Math.log(1), Math.log(3), Double.NEGATIVE_INFINITY}))
                .containsExactly(new double[] {0.25, 0.75, 0}, within(1e-15));
        assertThat(OracleMath.softmax(new double[] {1e6, 1e6})).containsExactly(0.5, 0.5);
    }

    @Test
    void attentionOfTwoTokens() {
        // Keys 0 and ln 3, query 1: the second query weighs the values 1:3, the first sees the first value only.
        ModelShape shape = new ModelShape(1, 1, 2, 1, 1, 1, 1);
        double[] q = {1, 0, 1, 0};
        double[] k = {0, Math.log(9)};
        double[] v = {4, 8};
        double[] out = OracleMath.attention(shape, HeadSet.range(1), q, k, v, 0, 0.5, (head, i, j) -> j <= i);
        assertThat(out).containsExactly(new double[] {4, 4, 7, 6}, within(1e-14));
    }

    @Test
    void queryHeadsReadTheKvHeadOfTheirGroup() {
        ModelShape shape = new ModelShape(1, 1, 4, 2, 1, 1, 1);
        double[] out = OracleMath.attention(
                shape,
                HeadSet.range(2),
                new double[4],
                new double[] {0, 0},
                new double[] {5, 6},
                0,
                1,
                (head, i, j) -> true);
        assertThat(out).containsExactly(5, 5, 6, 6);
        assertThat(OracleMath.attention(
                        shape,
                        HeadSet.of(1),
                        new double[4],
                        new double[] {0, 0},
                        new double[] {5, 6},
                        0,
                        1,
                        (head, i, j) -> true))
                .containsExactly(Double.NaN, Double.NaN, 6, 6);
    }

    @Test
    void visibilityOfStreamingHeads() {
        Retention retention = new Retention.SinkAndRecent(1, 2);
        // A chunk of three tokens at positions 6, 7, 8.
        assertThat(seen(retention, PrefillMode.UPSTREAM, 6, 6)).containsExactly(0, 4, 5, 6);
        assertThat(seen(retention, PrefillMode.UPSTREAM, 6, 8)).containsExactly(0, 4, 5, 6, 7, 8);
        assertThat(seen(retention, PrefillMode.WINDOW, 6, 6)).containsExactly(0, 4, 5, 6);
        assertThat(seen(retention, PrefillMode.WINDOW, 6, 8)).containsExactly(0, 6, 7, 8);
        assertThat(seen(retention, PrefillMode.UPSTREAM, 0, 4)).containsExactly(0, 1, 2, 3, 4);
        assertThat(seen(new Retention.All(), PrefillMode.WINDOW, 6, 7)).containsExactly(0, 1, 2, 3, 4, 5, 6, 7);
    }

    private static int[] seen(Retention retention, PrefillMode mode, long chunkStart, long i) {
        return IntStream.range(0, 10)
                .filter(j -> OracleMath.visible(retention, mode, chunkStart, i, j))
                .toArray();
    }
}
