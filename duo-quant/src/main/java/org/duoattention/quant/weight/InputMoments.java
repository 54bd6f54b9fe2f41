package org.duoattention.quant.weight;

/**
 * Second moments of the inputs of a layer, {@code E[x_i x_j]}, for channels of the same block of {@link #BLOCK} consecutive
 * ones: enough to weigh errors and to let a weight make up for the rounding of the ones before it, with memory that grows
 * with the width and not with its square.
 *
 * <p>Immutable once filled.
 */
public final class InputMoments {
    /** Channels whose products are kept. */
    public static final int BLOCK = 128;
    /** Added to the diagonal, as a fraction of its mean: keeps the factorisation stable, as in GPTQ. */
    private static final double DAMPING = 0.01;

    private final int width;
    private final double[][] blocks;

    /** Moments of nothing yet. */
    public InputMoments(int width) {
        this.width = width;
        this.blocks = new double[Math.ceilDiv(width, BLOCK)][];
        for (int block = 0; block < blocks.length; block++) {
            int size = size(block);
            blocks[block] = new double[size * size];
        }
    }

    /** Channels. */
    public int width() {
        return width;
    }

    private int size(int block) {
        return Math.min(BLOCK, width - block * BLOCK);
    }

    /** Adds one input, {@code width} numbers from an index on. */
    public void add(float[] x, int from) {
        for (int block = 0; block < blocks.length; block++) {
            int size = size(block);
            int begin = from + block * BLOCK;
            for (int i = 0; i < size; i++) {
                addScaled(blocks[block], i * size, x, begin, size, x[begin + i]);
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
        InputMoments divided = new InputMoments(width);
        for (int block = 0; block < blocks.length; block++) {
            int size = size(block);
            for (int i = 0; i < size; i++) {
                for (int j = 0; j < size; j++) {
                    divided.blocks[block][i * size + j] = blocks[block][i * size + j]
                            / ((double) factors[block * BLOCK + i] * factors[block * BLOCK + j]);
                }
            }
        }
        return divided;
    }

    /** The square of a channel, up to a factor that all share. */
    double square(int channel) {
        int block = channel / BLOCK;
        int i = channel % BLOCK;
        return blocks[block][i * size(block) + i];
    }

    /**
     * For every block of moments {@code H} the upper triangular {@code U} with {@code inverse(H) = transpose(U) U},
     * row-major.
     */
    float[][] factors() {
        float[][] factors = new float[blocks.length][];
        for (int block = 0; block < blocks.length; block++) {
            factors[block] = factor(blocks[block].clone(), size(block));
        }
        return factors;
    }

    private static float[] factor(double[] h, int n) {
        double trace = 0;
        for (int i = 0; i < n; i++) {
            trace += h[i * n + i];
        }
        double damping = trace == 0 ? 1 : DAMPING * trace / n;
        for (int i = 0; i < n; i++) {
            h[i * n + i] += damping;
        }
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
