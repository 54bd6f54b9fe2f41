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

    private int size(int index) {
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
            double[] h = damped(b);
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
            factors[b] = factor(damped(b), size(b));
        }
        return factors;
    }

    private double[] damped(int index) {
        double[] h = blocks[index].clone();
        int n = size(index);
        double trace = 0;
        for (int i = 0; i < n; i++) {
            trace += h[i * n + i];
        }
        double damping = trace == 0 ? 1 : DAMPING * trace / n;
        for (int i = 0; i < n; i++) {
            h[i * n + i] += damping;
        }
        return h;
    }

    private static float[] factor(double[] h, int n) {
        double[] inverse = inverse(cholesky(h, n), n);
        double[] lower = cholesky(inverse, n);
        float[] upper = new float[n * n];
        for (int i = 0; i < n; i++) {
            for (int j = 0; j <= i; j++) {
                upper[j * n + i] = (float) lower[i * n + j];
            }
        }
        return upper;
    }

    /** The lower triangular L with {@code h = L transpose(L)}. */
    private static double[] cholesky(double[] h, int n) {
        double[] lower = new double[n * n];
        for (int i = 0; i < n; i++) {
            for (int j = 0; j <= i; j++) {
                double sum = h[i * n + j];
                for (int k = 0; k < j; k++) {
                    sum -= lower[i * n + k] * lower[j * n + k];
                }
                lower[i * n + j] = i == j ? Math.sqrt(Math.max(sum, Double.MIN_NORMAL)) : sum / lower[j * n + j];
            }
        }
        return lower;
    }

    private static double[] inverse(double[] lower, int n) {
        double[] columns = new double[n * n];
        double[] inverse = new double[n * n];
        // The inverse of L, row by row, then its transpose times itself.
        for (int i = 0; i < n; i++) {
            columns[i * n + i] = 1 / lower[i * n + i];
            for (int j = 0; j < i; j++) {
                double sum = 0;
                for (int k = j; k < i; k++) {
                    sum -= lower[i * n + k] * columns[k * n + j];
                }
                columns[i * n + j] = sum / lower[i * n + i];
            }
        }
        for (int i = 0; i < n; i++) {
            for (int j = 0; j <= i; j++) {
                double sum = 0;
                for (int k = i; k < n; k++) {
                    sum += columns[k * n + i] * columns[k * n + j];
                }
                inverse[i * n + j] = sum;
                inverse[j * n + i] = sum;
            }
        }
        return inverse;
    }
}
