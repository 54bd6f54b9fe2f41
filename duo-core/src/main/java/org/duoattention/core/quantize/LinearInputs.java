package org.duoattention.core.quantize;

import org.duoattention.core.model.ModelConfig;
import org.duoattention.quant.weight.InputDrift;
import org.duoattention.quant.weight.InputMoments;

/**
 * What goes into linear layers that share an input, when the layers before are quantised: per channel the mean magnitude,
 * products of neighbouring channels, a sample of whole inputs, and how they differ from those of the original model.
 */
final class LinearInputs {
    private static final int MOST_SAMPLES = 256;
    private static final int LEAST_SAMPLES = 32;
    /** Channels whose products are kept: in a small model those of a whole layer, in a large one those of a group. */
    private static final int LEAST_BLOCK = 128;

    private static final int LARGEST_BLOCK = 512;
    /** Bytes that what is kept of all layers may take together before blocks get smaller. */
    private static final long PRODUCT_BYTES = 256L << 20;
    /** Bytes that the samples of an input may take. */
    private static final long SAMPLE_BYTES = 32L << 20;

    private final int tokens;
    private final int samples;
    private final double[] magnitudes;
    private final InputMoments moments;
    private final InputDrift drift;
    /** {@code [channels, samples]}. */
    private final float[] sampled;

    private int seen;
    private int taken;

    /**
     * Nothing yet.
     *
     * @param tokens inputs that will be added
     */
    LinearInputs(ModelConfig config, int width, int tokens) {
        this.tokens = tokens;
        this.samples =
                Math.min(tokens, Math.clamp(SAMPLE_BYTES / (Float.BYTES * (long) width), LEAST_SAMPLES, MOST_SAMPLES));
        this.magnitudes = new double[width];
        this.moments = new InputMoments(width, block(config));
        this.drift = new InputDrift(moments);
        this.sampled = new float[Math.multiplyExact(width, samples)];
    }

    private static int block(ModelConfig config) {
        long widths = (long) config.shape().layers()
                * (2L * config.shape().hiddenSize()
                        + config.shape().queryWidth()
                        + config.shape().intermediateSize());
        // Moments in double precision and a correction in single precision.
        long bytes = (Double.BYTES + Float.BYTES) * widths;
        int block = LARGEST_BLOCK;
        while (block > LEAST_BLOCK && bytes * block > PRODUCT_BYTES) {
            block /= 2;
        }
        return block;
    }

    /**
     * Adds inputs.
     *
     * @param values {@code [rows, width]}, with quantised layers before
     * @param original the same of the original model
     */
    void add(float[] values, float[] original) {
        int width = magnitudes.length;
        for (int row = 0; row < values.length / width; row++, seen++) {
            moments.add(values, row * width);
            drift.add(values, original, row * width);
            // Evenly spread over the text.
            boolean take = taken < samples && (long) seen * samples >= (long) taken * tokens;
            for (int i = 0; i < width; i++) {
                float x = values[row * width + i];
                magnitudes[i] += Math.abs(x);
                if (take) {
                    sampled[i * samples + taken] = x;
                }
            }
            if (take) {
                taken++;
            }
        }
    }

    int width() {
        return magnitudes.length;
    }

    /** Mean magnitude of a channel. */
    double magnitude(int channel) {
        return magnitudes[channel] / seen;
    }

    /** Second moments. */
    InputMoments moments() {
        return moments;
    }

    /** How they differ from the original's. */
    InputDrift drift() {
        return drift;
    }

    /** Sampled inputs, {@code [channels, samples]}. */
    float[] sampled() {
        return sampled;
    }

    int samples() {
        return samples;
    }
}
