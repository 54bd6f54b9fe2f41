package org.duoattention.quant.weight;

import java.util.Arrays;

/**
 * What the inputs of a layer have lost because the layers before are rounded: the products {@code E[x_i (o_j - x_j)]} of the
 * inputs {@code x} with their distance from the inputs {@code o} of the original model, within the blocks of {@link
 * InputMoments}.
 *
 * <p>One thread at a time.
 */
public final class InputDrift {
    /**
     * Added to the diagonal of the moments, as a fraction of its mean. More than in rounding, because the map is made from
     * the inputs of one text and used for others.
     */
    private static final double DAMPING = 0.1;

    private final InputMoments moments;
    private final double[][] blocks;
    private final float[] lost;

    /**
     * Nothing yet.
     *
     * @param moments those of {@code x}; filled by the caller, with the same inputs
     */
    public InputDrift(InputMoments moments) {
        this.moments = moments;
        this.lost = new float[moments.width()];
        this.blocks = new double[Math.ceilDiv(moments.width(), moments.block())][];
        for (int b = 0; b < blocks.length; b++) {
            blocks[b] = new double[Math.multiplyExact(moments.size(b), moments.size(b))];
        }
    }

    /** Adds one input and that of the original model, {@code width} numbers from an index on. */
    public void add(float[] x, float[] original, int from) {
        for (int i = 0; i < lost.length; i++) {
            lost[i] = original[from + i] - x[from + i];
        }
        for (int b = 0; b < blocks.length; b++) {
            int size = moments.size(b);
            int begin = b * moments.block();
            for (int i = 0; i < size; i++) {
                double factor = x[from + begin + i];
                for (int j = 0; j < size; j++) {
                    blocks[b][i * size + j] += factor * lost[begin + j];
                }
            }
        }
    }

    /** The change of weights that makes up for it. */
    public InputCorrection correction() {
        float[][] maps = new float[blocks.length][];
        for (int b = 0; b < blocks.length; b++) {
            maps[b] = map(blocks[b], moments.inverse(b, DAMPING), moments.size(b));
        }
        return new InputCorrection(moments.width(), moments.block(), maps);
    }

    /** {@code transpose(drift) * inverse}. */
    private static float[] map(double[] drift, double[] inverse, int n) {
        float[] map = new float[n * n];
        double[] row = new double[n];
        for (int j = 0; j < n; j++) {
            Arrays.fill(row, 0);
            for (int k = 0; k < n; k++) {
                double factor = drift[k * n + j];
                for (int i = 0; i < n; i++) {
                    row[i] += factor * inverse[k * n + i];
                }
            }
            for (int i = 0; i < n; i++) {
                map[j * n + i] = (float) row[i];
            }
        }
        return map;
    }
}
