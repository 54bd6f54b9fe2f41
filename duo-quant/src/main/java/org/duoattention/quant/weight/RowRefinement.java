package org.duoattention.quant.weight;

import java.util.Arrays;

/**
 * Improves the codes and scales of a row, given the moments {@code H} of its inputs. The squared error of the output is
 * {@code transpose(r) H r} for the errors {@code r} of the weights, and codes that were chosen one after the other are not
 * yet its minimum. By turns the scale of every group takes the value that is best for the codes, and every code the value
 * that is best beside all others: cyclic coordinate descent, as in QuantEase (arXiv 2309.01885). Neither step makes the
 * error larger.
 *
 * <p>Moments between the blocks of {@link InputMoments} count as zero, as they do in {@link WeightQuantizer}.
 *
 * <p>Holds scratch memory; one thread at a time.
 */
final class RowRefinement {
    /** More of them change little: four bring nearly all that twenty do. */
    private static final int SWEEPS = 6;

    private final float[][] moments;
    private final int block;
    private final int group;
    private final int largestCode;
    /** {@code H} times the errors of the weights. */
    private final float[] slopes;
    /** {@code H} times the codes of a group, where it was needed. */
    private final float[] products;

    /**
     * Scratch for rows of one matrix.
     *
     * @param moments the blocks, see {@link InputMoments#damped}
     * @param block channels of a block
     * @param group channels that share a scale
     */
    RowRefinement(float[][] moments, int block, int columns, int group, int largestCode) {
        this.moments = moments;
        this.block = block;
        this.group = group;
        this.largestCode = largestCode;
        this.slopes = new float[columns];
        this.products = new float[columns];
    }

    /**
     * Improves a row.
     *
     * @param values the row begins at {@code from}
     * @param codes one per column; changed
     * @param scales one per group, exact in binary16; changed
     * @param zeros the code for zero of every group
     */
    void refine(float[] values, int from, int[] codes, float[] scales, int[] zeros) {
        Arrays.fill(slopes, 0);
        for (int i = 0; i < codes.length; i++) {
            addColumn(i, values[from + i] - (codes[i] - zeros[i / group]) * scales[i / group], slopes, 0, codes.length);
        }
        for (int sweep = 0; sweep < SWEEPS; sweep++) {
            boolean changed = false;
            for (int g = 0; g < scales.length; g++) {
                changed |= rescale(g, codes, scales, zeros[g]);
            }
            for (int i = 0; i < codes.length; i++) {
                changed |= recode(i, codes, scales[i / group]);
            }
            if (!changed) {
                return;
            }
        }
    }

    private int firstOf(int channel) {
        return channel / block * block;
    }

    private int endOf(int channel) {
        return Math.min(slopes.length, firstOf(channel) + block);
    }

    /**
     * Adds a multiple of a column of {@code H}, which is symmetric, to some channels: only those of its block change.
     * Without a sum, so that it becomes vectors.
     */
    private void addColumn(int channel, float factor, float[] to, int begin, int end) {
        int first = firstOf(channel);
        int last = endOf(channel);
        float[] h = moments[channel / block];
        int at = (channel - first) * (last - first) - first;
        int from = Math.max(begin, first);
        int until = Math.min(end, last);
        for (int i = from; i < until; i++) {
            to[i] += factor * h[at + i];
        }
    }

    /** Gives a group the scale at which the error is least for its codes. */
    private boolean rescale(int g, int[] codes, float[] scales, int zero) {
        int begin = g * group;
        int end = begin + group;
        multiply(begin, end, begin, end, codes, zero);
        // The error changes by step^2 curvature - 2 step towards when the scale grows by a step.
        double towards = 0;
        double curvature = 0;
        for (int i = begin; i < end; i++) {
            towards += (double) (codes[i] - zero) * slopes[i];
            curvature += (double) (codes[i] - zero) * products[i];
        }
        float best = Float.float16ToFloat(Float.floatToFloat16((float) (scales[g] + towards / curvature)));
        double step = (double) best - scales[g];
        // Not so where all codes stand for zero, nor where rounding the scale loses what it gains.
        if (!(best > 0 && best < Float.POSITIVE_INFINITY && step * step * curvature < 2 * step * towards)) {
            return false;
        }
        scales[g] = best;
        // Most scales stay, so that the channels outside the group are left until here.
        int first = firstOf(begin);
        int last = endOf(end - 1);
        multiply(begin, end, first, begin, codes, zero);
        multiply(begin, end, end, last, codes, zero);
        for (int i = first; i < last; i++) {
            slopes[i] -= (float) step * products[i];
        }
        return true;
    }

    /** {@code H} times the codes of a group, for channels of its blocks. */
    private void multiply(int begin, int end, int firstChannel, int endChannel, int[] codes, int zero) {
        Arrays.fill(products, firstChannel, endChannel, 0);
        for (int i = begin; i < end; i++) {
            addColumn(i, codes[i] - zero, products, firstChannel, endChannel);
        }
    }

    /** Gives a weight the code at which the error is least beside all others. */
    private boolean recode(int i, int[] codes, float scale) {
        int first = firstOf(i);
        float curvature = moments[i / block][(i - first) * (endOf(i) - first) + i - first];
        float optimum = codes[i] + slopes[i] / (curvature * scale);
        int code = (int) Math.rint(Math.clamp(optimum, 0, largestCode));
        if (code == codes[i]) {
            return false;
        }
        float change = (code - codes[i]) * scale;
        codes[i] = code;
        addColumn(i, -change, slopes, 0, codes.length);
        return true;
    }
}
