package org.duoattention.tck;

import java.util.Arrays;
import org.duoattention.api.backend.Rope;

/**
 * How far arithmetic in binary32 may be from the oracle, after Higham, Accuracy and Stability of Numerical Algorithms,
 * chapter 3. {@code u = 2^-24}. Inputs, weights and cache rows are exact on both sides, so that the storage type does
 * not matter unless a backend rounds the F32 operand too: then {@code r} is the relative size of that rounding.
 *
 * <ul>
 *   <li>A sum of n products in any order: {@code (n u + r) sum|x w|}.
 *   <li>Root-mean-square normalisation of n elements: a sum of squares, halved by the root, and five more roundings:
 *       {@code (n/2 + 8) u |out|}.
 *   <li>Rotation of the pair (a, b) by an angle computed in double precision: {@code (4 u + 2^-51 angle) (|a| + |b|)}.
 *   <li>SwiGLU: an exponential within {@code |gate| + 8} roundings: {@code (|gate| + 16) u |out|}, and {@code 2^-126
 *       |gate up|} for a sigmoid that is not a normal number.
 *   <li>Attention over n slots of d elements: logits are off by at most {@code delta = ((d + 5) u + r) scale sum|q k|}, the
 *       difference to the maximum included, which moves probabilities by the factor {@code exp(2 delta)}; online softmax
 *       rescales at most once per slot. Together {@code (expm1(2 delta) + (4 n + d + 32) u + r) sum p|v|}.
 * </ul>
 */
final class ErrorBounds {
    static final double U = 0x1p-24;
    private static final double TINY = 0x1p-120;

    private ErrorBounds() {}

    static Expected linear(double[] x, double[] weight, double[] bias, int in, int outputs, double r) {
        double[] sums =
                OracleMath.linear(Numbers.absolute(x), Numbers.absolute(weight), Numbers.absolute(bias), in, outputs);
        double[] bounds = new double[sums.length];
        for (int i = 0; i < bounds.length; i++) {
            bounds[i] = ((in + 2) * U + r) * sums[i] + TINY;
        }
        return new Expected(OracleMath.linear(x, weight, bias, in, outputs), bounds);
    }

    static Expected rmsNorm(double[] x, double[] weight, double epsilon) {
        return relative(OracleMath.rmsNorm(x, weight, epsilon), (weight.length / 2.0 + 8) * U);
    }

    /** As {@link #rmsNorm} of sums that were rounded once. */
    static Expected addRmsNorm(double[] target, double[] x, double[] weight, double epsilon) {
        double[] sum = OracleMath.add(target, x);
        return relative(OracleMath.rmsNorm(sum, weight, epsilon), (weight.length / 2.0 + 10) * U);
    }

    static Expected add(double[] target, double[] x) {
        return relative(OracleMath.add(target, x), U);
    }

    private static Expected relative(double[] values, double factor) {
        double[] bounds = Arrays.stream(values)
                .map(value -> factor * Math.abs(value) + TINY)
                .toArray();
        return new Expected(values, bounds);
    }

    static Expected rope(double[] x, int width, int headDim, Rope rope, long position) {
        double[] bounds = new double[x.length];
        int pairs = rope.pairs();
        for (int i = 0; i < x.length; i++) {
            int inHead = i % width % headDim;
            if (inHead < 2 * pairs) {
                int pair = inHead % pairs;
                int partner = inHead < pairs ? i + pairs : i - pairs;
                double angle = Math.abs((position + i / width) * rope.inverseFrequency(pair));
                double size = (Math.abs(x[i]) + Math.abs(x[partner])) * Math.abs(rope.attentionFactor());
                bounds[i] = (4 * U + 0x1p-51 * angle) * size + TINY;
            }
        }
        return new Expected(OracleMath.rope(x, width, headDim, rope, position), bounds);
    }

    static Expected swiGlu(double[] gate, double[] up) {
        double[] values = OracleMath.swiGlu(gate, up);
        double[] bounds = new double[values.length];
        for (int i = 0; i < bounds.length; i++) {
            bounds[i] = (Math.abs(gate[i]) + 16) * U * Math.abs(values[i])
                    + Float.MIN_NORMAL * Math.abs(gate[i] * up[i])
                    + TINY;
        }
        return new Expected(values, bounds);
    }

    /** The allowed relative error of probabilities, for a query over {@code slots} slots. */
    static double probabilities(int slots, int headDim, double largestAbsoluteSum, double r) {
        double delta = ((headDim + 5) * U + r) * largestAbsoluteSum;
        return Math.expm1(2 * delta) + (4.0 * slots + headDim + 32) * U + r;
    }
}
