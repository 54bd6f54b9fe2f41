package org.duoattention.core.quantize;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;
import java.util.stream.IntStream;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.cache.CachePlan;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.cache.SlabPlan;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.core.cache.CacheSpec;
import org.duoattention.core.cache.HybridCache;
import org.duoattention.core.load.WeightSource;
import org.duoattention.core.model.Activations;
import org.duoattention.core.model.Decoder;
import org.duoattention.core.model.DecoderWeights;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.model.ObservedStream;
import org.duoattention.core.model.RopeFrequencies;
import org.duoattention.quant.weight.InputMoments;

/**
 * What goes into the linear layers of a model when it reads a text: per input channel the mean magnitude,
 * products of neighbouring channels, and a sample of whole inputs.
 */
public final class ActivationStatistics {
    private static final int WINDOW = 512;
    private static final int MOST_SAMPLES = 256;
    private static final int LEAST_SAMPLES = 32;
    /** Channels whose products are kept: in a small model those of a whole layer, in a large one those of a group. */
    private static final int LEAST_BLOCK = 128;

    private static final int LARGEST_BLOCK = 512;
    /** Bytes that the products of all layers may take together before blocks get smaller. */
    private static final long PRODUCT_BYTES = 256L << 20;
    /** Bytes that the samples of all layers may take together. */
    private static final long SAMPLE_BYTES = 512L << 20;

    private final Map<String, Inputs> layers = new LinkedHashMap<>();
    private final int tokens;
    private final int samples;
    private final int block;

    /** The inputs of one layer, or of the layers that share them. */
    static final class Inputs {
        private final double[] magnitudes;
        private final InputMoments moments;
        /** {@code [channels, samples]}. */
        private final float[] sampled;

        private final int samples;
        private int seen;
        private int taken;

        Inputs(int width, int samples, int block) {
            this.magnitudes = new double[width];
            this.moments = new InputMoments(width, block);
            this.samples = samples;
            this.sampled = new float[Math.multiplyExact(width, samples)];
        }

        private void add(float[] values, int rows, int tokens) {
            int width = magnitudes.length;
            for (int row = 0; row < rows; row++, seen++) {
                moments.add(values, row * width);
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

        /** Sampled inputs, {@code [channels, samples]}. */
        float[] sampled() {
            return sampled;
        }

        int samples() {
            return samples;
        }
    }

    private ActivationStatistics(int tokens, int samples, int block) {
        this.tokens = tokens;
        this.samples = samples;
        this.block = block;
    }

    /**
     * Feeds a text through a model in windows, each with a cache of its own that keeps everything.
     *
     * @param device what the model runs on; stays open
     * @param source the weights
     * @param ids tokens of the text, at least 2
     * @param progress told the tokens that were fed since it was told last
     * @throws InterruptedException when the thread is interrupted
     */
    public static ActivationStatistics collect(
            Device device, ModelConfig config, WeightSource source, int[] ids, IntConsumer progress)
            throws InterruptedException {
        long widths = (long) config.shape().layers()
                * (2L * config.shape().hiddenSize()
                        + config.shape().queryWidth()
                        + config.shape().intermediateSize());
        long fitting = SAMPLE_BYTES / (Float.BYTES * widths);
        int samples = Math.min(ids.length, Math.clamp(fitting, LEAST_SAMPLES, MOST_SAMPLES));
        int block = LARGEST_BLOCK;
        while (block > LEAST_BLOCK && Double.BYTES * widths * block > PRODUCT_BYTES) {
            block /= 2;
        }
        ActivationStatistics statistics = new ActivationStatistics(ids.length, samples, block);
        HeadSet heads = HeadSet.range(config.shape().kvHeads());
        CachePlan plan = new CachePlan(
                config.shape(),
                IntStream.range(0, config.shape().layers())
                        .mapToObj(layer -> new SlabPlan(layer, heads, new Retention.All()))
                        .toList());
        int window = Math.min(WINDOW, ids.length);
        CacheSpec spec = new CacheSpec(plan, BlockFormat.F16, BlockFormat.F16, window, window, 0);
        try (DecoderWeights weights = new DecoderWeights(device, source, config);
                Activations scratch = new Activations(device, config.shape(), window);
                ComputeStream stream = new ObservedStream(device.openStream(), weights, statistics::add)) {
            Decoder decoder = new Decoder(
                    config, new RopeFrequencies(config.rope(), config.shape().headDim()), weights, scratch);
            for (int begin = 0; begin < ids.length; begin += window) {
                if (Thread.interrupted()) {
                    throw new InterruptedException("after " + begin + " tokens");
                }
                int end = Math.min(ids.length, begin + window);
                try (HybridCache cache = HybridCache.allocate(device, spec)) {
                    decoder.feed(stream, Arrays.copyOfRange(ids, begin, end), cache, PrefillMode.UPSTREAM);
                    stream.synchronize();
                }
                progress.accept(end - begin);
            }
        }
        return statistics;
    }

    private void add(String layer, float[] values, int rows) {
        layers.computeIfAbsent(layer, name -> new Inputs(values.length / rows, samples, block))
                .add(values, rows, tokens);
    }

    /** The inputs of a layer, or of the layers of which it is the first. */
    Inputs of(String layer) {
        Inputs inputs = layers.get(layer);
        if (inputs == null) {
            throw new IllegalArgumentException(
                    "no inputs of " + layer + " were seen, only of " + List.copyOf(layers.keySet()));
        }
        return inputs;
    }
}
