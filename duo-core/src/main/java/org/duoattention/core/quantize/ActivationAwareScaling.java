package org.duoattention.core.quantize;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.IntConsumer;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.core.load.WeightSource;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.quant.weight.Floats;
import org.duoattention.quant.weight.InputMoments;
import org.duoattention.quant.weight.QuantizedRows;
import org.duoattention.quant.weight.WeightQuantizer;

/**
 * Activation-aware scaling of weights (AWQ, arXiv 2306.00978): the columns of a matrix that meet large activations are
 * multiplied by a factor before they are rounded, and the activations are divided by it in the operation before, so that
 * they are rounded more finely. Factors are {@code magnitude^alpha} of the channel, normalised; alpha is searched from 0 to
 * 1 for the least squared error of the layer's output.
 *
 * <p>What the factors go into: the norms before q/k/v and before gate/up; the rows of v before o, where the heads of a group
 * share theirs; the rows of up before down. A vector that is stored in half precision is divided first and rounded, and the
 * factor is then what it was really divided by, so that the model computes the same but for the rounding of the codes.
 *
 * <p>Rounding itself knows the inputs too: see {@link WeightQuantizer}. The error is that of sampled inputs on sampled outputs. It is relative to the output's energy, so that matrices that
 * share an input count alike.
 */
public final class ActivationAwareScaling {
    private static final int STEPS = 20;
    private static final int MOST_OUTPUTS = 256;
    /** Channels that are never active are like the others with a small magnitude. */
    private static final double LEAST_MAGNITUDE = 1e-4;

    private final WeightSource source;
    private final ModelConfig config;
    private final MatrixFormat format;
    private final ActivationStatistics statistics;
    private final WeightQuantizer quantizer;
    private final Map<String, float[]> columns = new HashMap<>();
    private final Map<String, float[]> rowDivisors = new HashMap<>();
    private final Map<String, InputMoments> inputsOf = new HashMap<>();

    private ActivationAwareScaling(
            WeightSource source,
            ModelConfig config,
            MatrixFormat format,
            ActivationStatistics statistics,
            WeightQuantizer quantizer) {
        this.source = source;
        this.config = config;
        this.format = format;
        this.statistics = statistics;
        this.quantizer = quantizer;
    }

    /**
     * Searches the factors of all layers.
     *
     * @param statistics of the model on a text like those that it will read
     * @param threads threads that quantise
     * @param progress told the layers that were done since it was told last
     * @throws InterruptedException when the thread is interrupted
     */
    public static Rescaling search(
            WeightSource source,
            ModelConfig config,
            MatrixFormat format,
            ActivationStatistics statistics,
            int threads,
            IntConsumer progress)
            throws InterruptedException {
        try (WeightQuantizer quantizer = new WeightQuantizer(threads)) {
            ActivationAwareScaling scaling = new ActivationAwareScaling(source, config, format, statistics, quantizer);
            for (int layer = 0; layer < config.shape().layers(); layer++) {
                scaling.layer("model.layers." + layer + ".");
                progress.accept(1);
            }
            return new Rescaling(scaling.columns, scaling.rowDivisors, scaling.inputsOf);
        }
    }

    private void layer(String prefix) throws InterruptedException {
        ModelShape shape = config.shape();
        String attention = prefix + "self_attn.";
        String mlp = prefix + "mlp.";
        int hidden = shape.hiddenSize();
        scale(
                List.of(attention + "q_proj", attention + "k_proj", attention + "v_proj"),
                List.of(prefix + "input_layernorm.weight"),
                hidden,
                Repeats.NONE);
        scale(
                List.of(attention + "o_proj"),
                withBias(attention + "v_proj"),
                shape.kvWidth(),
                new Repeats(shape.headDim(), shape.queryHeadsPerKvHead()));
        scale(
                List.of(mlp + "gate_proj", mlp + "up_proj"),
                List.of(prefix + "post_attention_layernorm.weight"),
                hidden,
                Repeats.NONE);
        scale(List.of(mlp + "down_proj"), withBias(mlp + "up_proj"), shape.intermediateSize(), Repeats.NONE);
    }

    private List<String> withBias(String module) {
        String bias = module + ".bias";
        return source.find(bias).isPresent() ? List.of(bias, module + ".weight") : List.of(module + ".weight");
    }

    /**
     * How the channels of an input come from those of the operation before: the heads of a group read the same values.
     *
     * @param width channels of a head
     * @param times heads that share them
     */
    private record Repeats(int width, int times) {
        static final Repeats NONE = new Repeats(1, 1);

        int origin(int channel) {
            return channel / (width * times) * width + channel % width;
        }
    }

    /**
     * Finds the factors of the layers that share an input.
     *
     * @param modules the layers
     * @param before tensors that are divided by the factors, a vector first if there is one
     * @param width factors
     */
    private void scale(List<String> modules, List<String> before, int width, Repeats repeats)
            throws InterruptedException {
        ActivationStatistics.Inputs inputs = statistics.of(modules.getFirst());
        double[] magnitudes = new double[width];
        for (int i = 0; i < inputs.width(); i++) {
            magnitudes[repeats.origin(i)] += inputs.magnitude(i) * width / inputs.width();
        }
        List<SampledLinear> linears = new ArrayList<>();
        for (String module : modules) {
            linears.add(SampledLinear.of(source, module, MOST_OUTPUTS, inputs));
        }
        float[] best = factors(magnitudes, 0);
        double least = Double.POSITIVE_INFINITY;
        for (int step = 0; step <= STEPS; step++) {
            float[] candidate = factors(magnitudes, (double) step / STEPS);
            float[] spread = spread(candidate, inputs.width(), repeats);
            InputMoments moments = inputs.moments().dividedBy(spread);
            double error = 0;
            for (SampledLinear linear : linears) {
                error += error(linear, inputs, moments, spread);
            }
            if (error < least) {
                least = error;
                best = candidate;
            }
        }
        keep(modules, before, best, inputs, repeats);
    }

    private static float[] factors(double[] magnitudes, double alpha) {
        double[] factors = new double[magnitudes.length];
        double least = Double.POSITIVE_INFINITY;
        double most = 0;
        for (int i = 0; i < factors.length; i++) {
            factors[i] = Math.pow(Math.max(magnitudes[i], LEAST_MAGNITUDE), alpha);
            least = Math.min(least, factors[i]);
            most = Math.max(most, factors[i]);
        }
        float[] normalised = new float[factors.length];
        for (int i = 0; i < factors.length; i++) {
            normalised[i] = (float) (factors[i] / Math.sqrt(least * most));
        }
        return normalised;
    }

    private static float[] spread(float[] factors, int width, Repeats repeats) {
        float[] spread = new float[width];
        for (int i = 0; i < width; i++) {
            spread[i] = factors[repeats.origin(i)];
        }
        return spread;
    }

    private double error(
            SampledLinear linear, ActivationStatistics.Inputs inputs, InputMoments moments, float[] factors)
            throws InterruptedException {
        int width = inputs.width();
        float[] scaled = linear.weights().clone();
        for (int row = 0; row < linear.rows(); row++) {
            for (int i = 0; i < width; i++) {
                scaled[row * width + i] *= factors[i];
            }
        }
        QuantizedRows quantized = quantizer.quantize(format.forRows(width), scaled, linear.rows(), width, moments);
        return linear.error(quantized, factors, inputs);
    }

    private void keep(
            List<String> modules,
            List<String> before,
            float[] chosen,
            ActivationStatistics.Inputs inputs,
            Repeats repeats) {
        HostTensor first = source.find(before.getFirst()).orElseThrow();
        float[] factors = first.spec().rank() == 1 ? representable(first, chosen) : chosen;
        before.forEach(name -> rowDivisors.put(name, factors));
        float[] spread = spread(factors, inputs.width(), repeats);
        InputMoments moments = inputs.moments().dividedBy(spread);
        for (String module : modules) {
            columns.put(module + ".weight", spread);
            inputsOf.put(module + ".weight", moments);
        }
    }

    /** The factors by which a stored vector can be divided without rounding, nearest to the given ones. */
    private static float[] representable(HostTensor vector, float[] factors) {
        float[] values = new float[factors.length];
        Floats.read(vector, 0, values, values.length);
        for (int i = 0; i < values.length; i++) {
            float divided = rounded(vector.spec().dtype(), values[i] / factors[i]);
            values[i] = divided == 0 || !Float.isFinite(divided) ? 1 : values[i] / divided;
        }
        return values;
    }

    private static float rounded(DType dtype, float value) {
        return switch (dtype) {
            case F16 -> Float.float16ToFloat(Float.floatToFloat16(value));
            case BF16 -> {
                int bits = Float.floatToRawIntBits(value);
                yield Float.intBitsToFloat(bits + 0x7fff + (bits >>> 16 & 1) & 0xffff0000);
            }
            default -> value;
        };
    }
}
