package org.duoattention.quant.weight;

import java.util.Arrays;

/**
 * Second moments of the inputs of a layer, {@code E[x_i x_j]}, for channels of the same block of consecutive
 * ones: enough to weigh errors and to let a weight make up for the rounding of others, with memory that grows with the
 * width and not with its square.
 *
 * <p>Immutable once filled.
 */
public final class InputMoments {
    /** Added to the diagonal, as a fraction of its mean: keeps the factorisation stable, as in GPTQ. */
    private static final double DAMPING = 0.01;

    private final int width;
    private final int block;
    private final double[][] blocks;

    /**
     * Moments of nothing yet.
     *
     * @param block channels whose products are kept: those of a block with each other
     */
    public InputMoments(int width, int block) {
        this.width = width;
        this.block = block;
        this.blocks = new double[Math.ceilDiv(width, block)][];
        for (int b = 0; b < blocks.length; b++) {
            blocks[b] = new double[Math.multiplyExact(size(b), size(b))];
        }
    }

    /** Channels. */
    public int width() {
        return width;
    }

    /** Channels of a block; the last one may have fewer. */
    int block() {
        return block;
    }

    /** Channels of a given block. */
    int size(int index) {
        return Math.min(block, width - index * block);
    }

    /** Adds one input, {@code width} numbers from an index on. */
    public void add(float[] x, int from) {
        for (int b = 0; b < blocks.length; b++) {
            int size = size(b);
            int begin = from + b * block;
            for (int i = 0; i < size; i++) {
                addScaled(blocks[b], i * size, x, begin, size, x[begin + i]);
            }
        }
    }

    private static void addScaled(double[] row, int at, float[] x, int from, int count, double factor) {
        for (int i = 0; i < count; i++) {
            row[at + i] += factor * x[from + i];
        }
    }

    /** The moments of inputs that are divided by factors. */
    public InputMoments dividedBy(float[] factors) {
        InputMoments divided = new InputMoments(width, block);
        for (int b = 0; b < blocks.length; b++) {
            int size = size(b);
            for (int i = 0; i < size; i++) {
                for (int j = 0; j < size; j++) {
                    divided.blocks[b][i * size + j] =
                            blocks[b][i * size + j] / ((double) factors[b * block + i] * factors[b * block + j]);
                }
            }
        }
        return divided;
    }

    /** The square of a channel, up to a factor that all share. */
    double square(int channel) {
        int index = channel / block;
        int i = channel % block;
        return blocks[index][i * size(index) + i];
    }

    /**
     * The moments {@code H} of every block, damped, row-major, up to a factor per block, so that they are about 1 and fit
     * into floats.
     */
    float[][] damped() {
        float[][] damped = new float[blocks.length][];
        for (int b = 0; b < blocks.length; b++) {
            double[] h = damped(b, DAMPING);
            double largest = Arrays.stream(h).max().orElse(1);
            damped[b] = new float[h.length];
            for (int i = 0; i < h.length; i++) {
                damped[b][i] = (float) (h[i] / largest);
            }
        }
        return damped;
    }

    /**
     * For every block of damped moments {@code H} the upper triangular {@code U} with {@code inverse(H) = transpose(U) U},
     * row-major.
     */
    float[][] factors() {
        float[][] factors = new float[blocks.length][];
        for (int b = 0; b < blocks.length; b++) {
            factors[b] = factor(damped(b, DAMPING), size(b));
        }
        return factors;
    }

    /**
     * The inverse of a block of moments.
     *
     * @param index of the block
     * @param damping added to the diagonal first, as a fraction of its mean
     * @return row-major
     */
    double[] inverse(int index, double damping) {
        int n = size(index);
        double[] inverse = inverse(cholesky(damped(index, damping), n), n);
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < i; j++) {
                inverse[i * n + j] = inverse[j * n + i];
            }
        }
        return inverse;
    }

    private double[] damped(int index, double fraction) {
        double[] h = blocks[index].clone();
        int n = size(index);
        double trace = 0;
        for (int i = 0; i < n; i++) {
            trace += h[i * n + i];
        }
        double damping = trace == 0 ? 1 : fraction * trace / n;
        for (int i = 0; i < n; i++) {
            h[i * n + i] += damping;
        }
        return h;
    }

    private static float[] factor(double[] h, int n) {
        double[] upper = cholesky(inverse(cholesky(h, n), n), n);
        float[] factor = new float[n * n];
        for (int i = 0; i < n; i++) {
            for (int j = i; j < n; j++) {
                factor[i * n + j] = (float) upper[i * n + j];
            }
        }
        return factor;
    }

    /**
     * The upper triangular U with {@code h = transpose(U) U}; what is below the diagonal means nothing. Row after row is
     * taken from those below it, so that the inner loop adds and does not sum.
     *
     * @param h symmetric; overwritten
     */
    private static double[] cholesky(double[] h, int n) {
        for (int k = 0; k < n; k++) {
            double pivot = Math.sqrt(Math.max(h[k * n + k], Double.MIN_NORMAL));
            for (int j = k; j < n; j++) {
                h[k * n + j] /= pivot;
            }
            h[k * n + k] = pivot;
            for (int i = k + 1; i < n; i++) {
                addRow(h, i * n, -h[k * n + i], h, k * n, i, n);
            }
        }
        return h;
    }

    /** The inverse of {@code transpose(U) U}: the inverse of {@code transpose(U)}, then its transpose times itself. */
    private static double[] inverse(double[] upper, int n) {
        double[] lower = new double[n * n];
        double[] inverse = new double[n * n];
        for (int i = 0; i < n; i++) {
            lower[i * n + i] = 1;
            for (int k = 0; k < i; k++) {
                addRow(lower, i * n, -upper[k * n + i], lower, k * n, 0, k + 1);
            }
            for (int j = 0; j <= i; j++) {
                lower[i * n + j] /= upper[i * n + i];
            }
        }
        for (int k = 0; k < n; k++) {
            for (int i = 0; i <= k; i++) {
                addRow(inverse, i * n, lower[k * n + i], lower, k * n, i, k + 1);
            }
        }
        // Only the upper half is filled, and only that is read.
        return inverse;
    }

    private static void addRow(double[] to, int at, double factor, double[] from, int row, int begin, int end) {
        for (int j = begin; j < end; j++) {
            to[at + j] += factor * from[row + j];
        }
    }
}
