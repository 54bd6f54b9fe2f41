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

    /**
     * As {@link #linear} with a quantised weight: codes and offsets are summed apart, so that their sizes count and not
     * that of the values they add up to; and when the input is rounded to 8 bits in groups, half a step of every group.
     *
     * @param sizes for every weight the sum of the absolute values of offset and scaled code
     * @param activationGroup elements of x that share a scale of 8 bits, or 0 when x is not rounded
     */
    static Expected quantizedLinear(
            double[] x, double[] weight, double[] sizes, double[] bias, int in, int outputs, int activationGroup) {
        double[] sums = OracleMath.linear(Numbers.absolute(x), sizes, Numbers.absolute(bias), in, outputs);
        double[] rounding = new double[sums.length];
        if (activationGroup > 0) {
            double[] steps = new double[x.length];
            for (int from = 0; from < x.length; from += activationGroup) {
                // A last group of a row may be short; groups do not span rows.
                int to = Math.min(from + activationGroup, (from / in + 1) * in);
                double most = 0;
                for (int i = from; i < to; i++) {
                    most = Math.max(most, Math.abs(x[i]));
                }
                Arrays.fill(steps, from, to, most / 127 / 2);
                from = to - activationGroup;
            }
            rounding = OracleMath.linear(steps, Numbers.absolute(weight), new double[0], in, outputs);
        }
        double[] bounds = new double[sums.length];
        for (int i = 0; i < bounds.length; i++) {
            bounds[i] = (in + 8) * U * sums[i] + (1 + 0x1p-10) * rounding[i] + TINY;
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
