package org.duoattention.core.quantize;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.core.load.WeightSource;
import org.duoattention.core.model.LayerPass;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.quant.weight.Floats;
import org.duoattention.quant.weight.InputCorrection;
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
final class ActivationAwareScaling {
    private static final int STEPS = 20;
    private static final int MOST_OUTPUTS = 256;
    /** Channels that are never active are like the others with a small magnitude. */
    private static final double LEAST_MAGNITUDE = 1e-4;

    private final WeightSource source;
    private final ModelShape shape;
    private final MatrixFormat format;
    private final WeightQuantizer quantizer;
    private final Map<String, float[]> columns = new HashMap<>();
    private final Map<String, float[]> rowDivisors = new HashMap<>();
    private final Map<String, InputMoments> inputsOf = new HashMap<>();
    private final Map<String, InputCorrection> corrections = new HashMap<>();

    /** Nothing is known yet. The quantiser stays the caller's. */
    ActivationAwareScaling(WeightSource source, ModelConfig config, MatrixFormat format, WeightQuantizer quantizer) {
        this.source = source;
        this.shape = config.shape();
        this.format = format;
        this.quantizer = quantizer;
    }

    /** What was found until now; grows with the next search. */
    Rescaling found() {
        return new Rescaling(columns, rowDivisors, inputsOf, corrections);
    }

    /** The linear layers that share an input. */
    static List<String> modules(int layer, LayerPass.Input input) {
        String attention = prefix(layer) + "self_attn.";
        String mlp = prefix(layer) + "mlp.";
        return switch (input) {
            case ATTENTION -> List.of(attention + "q_proj", attention + "k_proj", attention + "v_proj");
            case ATTENTION_OUTPUT -> List.of(attention + "o_proj");
            case FEED_FORWARD -> List.of(mlp + "gate_proj", mlp + "up_proj");
            case FEED_FORWARD_OUTPUT -> List.of(mlp + "down_proj");
        };
    }

    private static String prefix(int layer) {
        return "model.layers." + layer + ".";
    }

    /**
     * Searches the factors for the linear layers that share an input.
     *
     * @throws InterruptedException when the thread is interrupted
     */
    void search(int layer, LayerPass.Input input, LinearInputs inputs) throws InterruptedException {
        List<String> modules = modules(layer, input);
        switch (input) {
            case ATTENTION ->
                scale(
                        modules,
                        List.of(prefix(layer) + "input_layernorm.weight"),
                        inputs,
                        shape.hiddenSize(),
                        Repeats.NONE);
            case ATTENTION_OUTPUT ->
                scale(
                        modules,
                        withBias(prefix(layer) + "self_attn.v_proj"),
                        inputs,
                        shape.kvWidth(),
                        new Repeats(shape.headDim(), shape.queryHeadsPerKvHead()));
            case FEED_FORWARD ->
                scale(
                        modules,
                        List.of(prefix(layer) + "post_attention_layernorm.weight"),
                        inputs,
                        shape.hiddenSize(),
                        Repeats.NONE);
            case FEED_FORWARD_OUTPUT ->
                scale(modules, withBias(prefix(layer) + "mlp.up_proj"), inputs, shape.intermediateSize(), Repeats.NONE);
        }
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
     * @param inputs what goes into them
     * @param width factors
     */
    private void scale(List<String> modules, List<String> before, LinearInputs inputs, int width, Repeats repeats)
            throws InterruptedException {
        InputCorrection correction = inputs.drift().correction();
        double[] magnitudes = new double[width];
        for (int i = 0; i < inputs.width(); i++) {
            magnitudes[repeats.origin(i)] += inputs.magnitude(i) * width / inputs.width();
        }
        List<SampledLinear> linears = new ArrayList<>();
        for (String module : modules) {
            linears.add(SampledLinear.of(source, module, MOST_OUTPUTS, inputs, correction));
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
        modules.forEach(module -> corrections.put(module + ".weight", correction));
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

    private double error(SampledLinear linear, LinearInputs inputs, InputMoments moments, float[] factors)
            throws InterruptedException {
        int width = inputs.width();
        float[] scaled = linear.weights().clone();
        for (int row = 0; row < linear.rows(); row++) {
            for (int i = 0; i < width; i++) {
                scaled[row * width + i] *= factors[i];
            }
        }
        QuantizedRows quantized = quantizer.draft(format.forRows(width), scaled, linear.rows(), width, moments);
        return linear.error(quantized, factors, inputs);
    }

    private void keep(List<String> modules, List<String> before, float[] chosen, LinearInputs inputs, Repeats repeats) {
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
