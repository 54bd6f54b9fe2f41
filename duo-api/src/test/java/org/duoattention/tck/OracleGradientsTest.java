package org.duoattention.tck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import java.util.SplittableRandom;
import java.util.function.UnaryOperator;
import org.duoattention.api.backend.Gradients.Streaming;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.tensor.DType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The oracle's backward operations against central differences of its forward ones. */
class OracleGradientsTest {
    private static final double STEP = 1e-5;

    private final SplittableRandom random = new SplittableRandom(7);

    private double[] random(int count) {
        return Numbers.random(DType.F32, count, 2, random);
    }

    /** The gradient of {@code sum(gradient * forward(x))} by central differences; their error is of order STEP^2. */
    private static void check(
            String what, double[] x, UnaryOperator<double[]> forward, double[] gradient, double[] actual) {
        assertThat(actual).as(what).hasSameSizeAs(x);
        for (int i = 0; i < x.length; i++) {
            double[] moved = x.clone();
            moved[i] = x[i] + STEP;
            double above = OracleMath.dot(gradient, 0, forward.apply(moved), 0, gradient.length);
            moved[i] = x[i] - STEP;
            double below = OracleMath.dot(gradient, 0, forward.apply(moved), 0, gradient.length);
            double expected = (above - below) / (2 * STEP);
            assertThat(actual[i])
                    .as("%s, element %d", what, i)
                    .isEqualTo(expected, within(1e-7 * (1 + Math.abs(expected))));
        }
    }

    @Test
    void linear() {
        double[] weight = random(5 * 3);
        double[] gradient = random(4 * 5);
        check(
                "linear",
                random(4 * 3),
                x -> OracleMath.linear(x, weight, new double[5], 3, 5),
                gradient,
                OracleGradients.linear(gradient, weight, 3, 5));
    }

    @Test
    void rmsNormOfRowsAndOfHeads() {
        for (int group : new int[] {6, 3, 1}) {
            double[] x = random(4 * 6);
            double[] weight = random(group);
            double[] gradient = random(4 * 6);
            check(
                    "rmsNorm of groups of " + group,
                    x,
                    y -> OracleMath.rmsNorm(y, weight, 0.1),
                    gradient,
                    OracleGradients.rmsNorm(x, weight, 0.1, gradient));
        }
    }

    @Test
    void rope() {
        Rope rope = new Rope(new double[] {1, 0.3}, 1.25);
        double[] gradient = random(3 * 10);
        check(
                "rope",
                random(3 * 10),
                x -> OracleMath.rope(x, 10, 5, rope, 77),
                gradient,
                OracleGradients.rope(gradient, 10, 5, rope, 77));
    }

    @Test
    void swiGlu() {
        double[] gate = random(12);
        double[] up = random(12);
        double[] gradient = random(12);
        check("gate", gate, x -> OracleMath.swiGlu(x, up), gradient, OracleGradients.swiGluGate(gate, up, gradient));
        check("up", up, x -> OracleMath.swiGlu(gate, x), gradient, OracleGradients.swiGluUp(gate, gradient));
    }

    @ParameterizedTest(name = "{0} heads on {1}, {2} sinks, {3} recent")
    @CsvSource({"1,1,0,1", "1,1,2,3", "2,2,1,2", "4,1,2,2", "4,2,9,1", "2,1,0,9", "2,1,3,9"})
    void attend(int heads, int kvHeads, int sinks, int recent) {
        int tokens = 7;
        int dim = 3;
        Streaming streaming = new Streaming(dim, sinks, recent, 0.7f);
        double[] q = random(tokens * heads * dim);
        double[] k = random(tokens * kvHeads * dim);
        double[] v = random(tokens * kvHeads * dim);
        double[] gradient = random(q.length);
        List<double[]> actual = OracleGradients.attendBackward(q, k, v, heads, kvHeads, streaming, gradient);
        check("q", q, x -> OracleGradients.attend(x, k, v, heads, kvHeads, streaming), gradient, actual.get(0));
        check("k", k, x -> OracleGradients.attend(q, x, v, heads, kvHeads, streaming), gradient, actual.get(1));
        check("v", v, x -> OracleGradients.attend(q, k, x, heads, kvHeads, streaming), gradient, actual.get(2));
    }

    @Test
    void visibilityCountsTheOwnPosition() {
        Streaming streaming = new Streaming(1, 1, 2, 1);
        boolean[] seen = new boolean[6];
        for (int j = 0; j < 6; j++) {
            seen[j] = OracleGradients.visible(streaming, 4, j);
        }
        assertThat(seen).containsExactly(true, false, false, true, true, false);
    }

    @Test
    void blend() {
        float[] gates = {0.25f, 1, 0};
        double[] full = random(4 * 6);
        double[] streaming = random(4 * 6);
        double[] gradient = random(4 * 6);
        check(
                "streaming",
                streaming,
                x -> OracleGradients.blend(full, x, 6, gates),
                gradient,
                OracleGradients.blendStreaming(6, gates, gradient));
        // Linear in the gates: a step of a power of two is exact in floats.
        double[] actual = OracleGradients.blendGates(full, streaming, 6, 3, gradient);
        for (int h = 0; h < 3; h++) {
            float[] moved = gates.clone();
            moved[h] += 0.5f;
            double above = OracleMath.dot(gradient, 0, OracleGradients.blend(full, streaming, 6, moved), 0, 24);
            moved[h] -= 1;
            double below = OracleMath.dot(gradient, 0, OracleGradients.blend(full, streaming, 6, moved), 0, 24);
            assertThat(actual[h]).as("gate %d", h).isEqualTo(above - below, within(1e-12));
        }
    }
}
