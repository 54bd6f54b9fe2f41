package org.duoattention.quant.weight;

import java.util.Arrays;
import org.duoattention.api.tensor.BlockFormat;
import org.jspecify.annotations.Nullable;

/**
 * Quantises one group of numbers: round to nearest, with the scale (and zero point) that makes the squared error small.
 *
 * <p>A code stands for {@code (code - zero) * scale}, where {@code zero} is an integer code: the centre when the format is
 * symmetric, otherwise chosen with the scale. The range that the codes span is searched on a grid of fractions of the
 * group's own range: clipping the largest numbers a little makes all steps finer. From the best point of the grid, the
 * scale is refined by least squares: given the codes, the best scale is {@code sum(x q) / sum(q^2)}; that is repeated while
 * the error falls. Scales are rounded to binary16 before codes are computed, so the error that is compared is the error
 * that a reader of the result sees.
 *
 * <p>The error of each element may be weighted, with the mean square of the activation that it will be multiplied by: then
 * it is the error of the output that is made small, as far as activations are uncorrelated.
 *
 * <p>Holds scratch memory; one thread at a time.
 */
final class GroupQuantizer {
    /** Added and subtracted, it rounds a float of magnitude below 2^22 to the nearest integer, ties to even. */
    private static final float ROUNDING = 0x1.8p23f;

    private static final float LEAST_SCALE = 0x1p-24f;
    private static final float LARGEST_SCALE = 65504f;
    private static final int REFINEMENTS = 3;

    /** Fractions of the range that codes of 4 bits may span at best, and their number; 8 bits clip less. */
    private static final double LEAST_FRACTION_4 = 0.5;

    private static final int FRACTIONS_4 = 26;
    private static final double LEAST_FRACTION_8 = 0.8;
    private static final int FRACTIONS_8 = 11;

    private final boolean asymmetric;
    private final int centre;
    private final int largestCode;
    private final double[] fractions;
    private final float[] inverses;
    private final float[] scales;
    private final float[] lows;
    private final float[] highs;
    private final float[] errors;

    private float scale;
    private int zero;
    private double error;

    GroupQuantizer(BlockFormat.Grouped format) {
        this.asymmetric = format.asymmetric();
        this.centre = format.centre();
        this.largestCode = format.largestCode();
        boolean four = format.bits() == 4;
        int count = four ? FRACTIONS_4 : FRACTIONS_8;
        double least = four ? LEAST_FRACTION_4 : LEAST_FRACTION_8;
        this.fractions = new double[count];
        for (int i = 0; i < count; i++) {
            fractions[i] = least + (1 - least) * i / (count - 1);
        }
        // An asymmetric candidate is tried with the zero points next to it too.
        int candidates = count * (asymmetric ? 3 : 1);
        this.inverses = new float[candidates];
        this.scales = new float[candidates];
        this.lows = new float[candidates];
        this.highs = new float[candidates];
        this.errors = new float[candidates];
    }

    /** The scale of the last group: positive, finite, exact in binary16. */
    float scale() {
        return scale;
    }

    /** The code that stands for zero in the last group. */
    int zero() {
        return zero;
    }

    /** The squared error of the last group, weighted. */
    double error() {
        return error;
    }

    /** The code of a number in the last group. */
    int code(float value) {
        float steps = (value * (1 / scale) + ROUNDING) - ROUNDING;
        return (int) Math.min(Math.max(steps, -zero), largestCode - zero) + zero;
    }

    /**
     * Chooses scale and zero point.
     *
     * @param x finite numbers
     * @param from first number of the group
     * @param count numbers in the group
     * @param weights of the squared errors, for the same indices less {@code from - weightFrom}; {@code null} for equal ones
     * @throws IllegalArgumentException when a number is not finite, or so large that its scale is beyond binary16
     */
    void fit(float[] x, int from, int count, float @Nullable [] weights, int weightFrom) {
        float low = 0;
        float high = 0;
        for (int i = from; i < from + count; i++) {
            if (!Float.isFinite(x[i])) {
                throw new IllegalArgumentException("holds " + x[i] + ", which cannot be quantised");
            }
            low = Math.min(low, x[i]);
            high = Math.max(high, x[i]);
        }
        if (low == 0 && high == 0) {
            // Any scale is exact; one keeps readers that refuse zero content.
            scale = 1;
            zero = asymmetric ? 0 : centre;
            error = 0;
            return;
        }
        if (asymmetric) {
            asymmetricCandidates(low, high);
        } else {
            symmetricCandidates(Math.max(-low, high));
        }
        Arrays.fill(errors, 0);
        for (int i = 0; i < count; i++) {
            addErrors(x[from + i], weights == null ? 1 : weights[weightFrom + i]);
        }
        int best = 0;
        for (int i = 1; i < errors.length; i++) {
            // The later one of two equals spans more.
            if (errors[i] <= errors[best]) {
                best = i;
            }
        }
        scale = scales[best];
        zero = (int) -lows[best];
        error = errors[best];
        refine(x, from, count, weights, weightFrom);
    }

    private void symmetricCandidates(float largest) {
        for (int i = 0; i < fractions.length; i++) {
            candidate(i, largest * fractions[i] / (largestCode - centre), centre);
        }
    }

    private void asymmetricCandidates(float low, float high) {
        for (int i = 0; i < fractions.length; i++) {
            double step = ((double) high - low) * fractions[i] / largestCode;
            int middle = (int) Math.rint(-low * fractions[i] / step);
            for (int shift = -1; shift <= 1; shift++) {
                candidate(3 * i + shift + 1, step, Math.clamp(middle + shift, 0, largestCode));
            }
        }
    }

    private void candidate(int index, double step, int zeroCode) {
        float rounded = half(step);
        scales[index] = rounded;
        inverses[index] = 1 / rounded;
        lows[index] = -zeroCode;
        highs[index] = largestCode - zeroCode;
    }

    private static float half(double step) {
        if (step > LARGEST_SCALE) {
            throw new IllegalArgumentException(
                    "holds numbers that need a scale of " + (float) step + ", more than binary16 has");
        }
        return Math.max(LEAST_SCALE, Float.float16ToFloat(Float.floatToFloat16((float) step)));
    }

    /** All candidates at once for one number, so that the loop has neither a branch nor a sum across iterations. */
    private void addErrors(float x, float weight) {
        float[] inverse = inverses;
        float[] step = scales;
        float[] low = lows;
        float[] high = highs;
        float[] sums = errors;
        for (int i = 0; i < sums.length; i++) {
            float steps = (x * inverse[i] + ROUNDING) - ROUNDING;
            float delta = x - Math.min(Math.max(steps, low[i]), high[i]) * step[i];
            sums[i] += weight * delta * delta;
        }
    }

    private void refine(float[] x, int from, int count, float @Nullable [] weights, int weightFrom) {
        for (int round = 0; round < REFINEMENTS; round++) {
            float inverse = 1 / scale;
            double products = 0;
            double squares = 0;
            for (int i = 0; i < count; i++) {
                float steps = (x[from + i] * inverse + ROUNDING) - ROUNDING;
                double q = Math.min(Math.max(steps, -zero), largestCode - zero);
                double weight = weights == null ? 1 : weights[weightFrom + i];
                products += weight * q * x[from + i];
                squares += weight * q * q;
            }
            if (!(products > 0) || products / squares > LARGEST_SCALE) {
                return;
            }
            float candidate = half(products / squares);
            double candidateError = errorOf(candidate, x, from, count, weights, weightFrom);
            if (candidate == scale || candidateError >= error) {
                return;
            }
            scale = candidate;
            error = candidateError;
        }
    }

    private double errorOf(float step, float[] x, int from, int count, float @Nullable [] weights, int weightFrom) {
        float inverse = 1 / step;
        double sum = 0;
        for (int i = 0; i < count; i++) {
            float steps = (x[from + i] * inverse + ROUNDING) - ROUNDING;
            double delta = x[from + i] - Math.min(Math.max(steps, -zero), largestCode - zero) * (double) step;
            sum += (weights == null ? 1 : weights[weightFrom + i]) * delta * delta;
        }
        return sum;
    }
}
