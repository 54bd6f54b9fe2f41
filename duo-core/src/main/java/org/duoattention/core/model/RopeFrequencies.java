package org.duoattention.core.model;

import org.duoattention.api.backend.Rope;
import org.duoattention.api.tensor.DType;

/**
 * Computes the rotation that a checkpoint asks for.
 *
 * <p>The formulas and their order of operations in 32-bit floats are those of {@code modeling_rope_utils} in Hugging Face
 * transformers 5, which defines what the fields of config.json mean; a model was trained with frequencies rounded in this
 * way. Only the angles, position times frequency, are then formed in double precision by the backend.
 *
 * <p>Immutable; may be used from any thread.
 */
public final class RopeFrequencies {
    private final RopeConfig config;
    private final int headDim;
    private final DType precision;
    private final Rope base;

    /**
     * The rotation of a model.
     *
     * @param config theta and scaling
     * @param headDim width of one head; even
     */
    public RopeFrequencies(RopeConfig config, int headDim) {
        this(config, headDim, DType.F32);
    }

    /**
     * The rotation of a model whose frequencies were rounded once more. A PyTorch model that is cast to half precision as a
     * whole ({@code model.to(bfloat16)}) casts the buffer of its frequencies too; whoever must reproduce such a run rounds
     * them likewise. Checkpoints that transformers loads keep F32.
     *
     * @param config theta and scaling
     * @param headDim width of one head; even
     * @param precision F32, F16 or BF16: what the frequencies are rounded to
     */
    public RopeFrequencies(RopeConfig config, int headDim, DType precision) {
        if (precision != DType.F32 && precision != DType.F16 && precision != DType.BF16) {
            throw new IllegalArgumentException("frequencies are F32, F16 or BF16, not " + precision);
        }
        if (headDim < 2 || headDim % 2 != 0) {
            throw new IllegalArgumentException("a head that is rotated has an even width, not " + headDim);
        }
        this.config = config;
        this.headDim = headDim;
        this.precision = precision;
        this.base = compute(0);
    }

    /**
     * Whether {@link #at} depends on the length ({@code dynamic} scaling only). Keys keep the rotation that they were
     * cached with.
     */
    public boolean dependsOnLength() {
        return config.scaling() instanceof RopeScaling.Dynamic;
    }

    /**
     * The rotation for a chunk or decode step after which the sequence has {@code totalTokens} tokens, those of earlier
     * chunks included. The same object for all lengths that give the same rotation, unless the length exceeds the
     * original one of a {@code dynamic} scaling.
     */
    public Rope at(long totalTokens) {
        boolean stretched =
                config.scaling() instanceof RopeScaling.Dynamic dynamic && totalTokens > dynamic.originalPositions();
        return stretched ? compute(totalTokens) : base;
    }

    private Rope compute(long totalTokens) {
        return switch (config.scaling()) {
            case RopeScaling.None() -> rope(unscaled((float) config.theta()), 1);
            case RopeScaling.Linear(double factor) -> rope(linear(factor), 1);
            case RopeScaling.Dynamic dynamic -> rope(unscaled(dynamicBase(dynamic, totalTokens)), 1);
            case RopeScaling.Llama3 llama3 -> rope(llama3(llama3), 1);
            case RopeScaling.Yarn yarn -> rope(yarn(yarn), attentionFactor(yarn));
            case RopeScaling.Divided divided -> rope(divided(divided), 1);
        };
    }

    private Rope rope(float[] frequencies, double attentionFactor) {
        double[] exact = new double[frequencies.length];
        for (int i = 0; i < exact.length; i++) {
            exact[i] = rounded(frequencies[i]);
        }
        return new Rope(exact, attentionFactor);
    }

    private float rounded(float frequency) {
        return switch (precision) {
            case F16 -> Float.float16ToFloat(Float.floatToFloat16(frequency));
            case BF16 -> {
                int bits = Float.floatToRawIntBits(frequency);
                // Round to nearest, ties to even; frequencies are finite and positive.
                yield Float.intBitsToFloat((bits + 0x7fff + (bits >>> 16 & 1)) & 0xffff0000);
            }
            default -> frequency;
        };
    }

    /** {@code theta^(2i/d)} of every pair. */
    private float[] wavelengths(float theta) {
        float[] wavelengths = new float[headDim / 2];
        for (int i = 0; i < wavelengths.length; i++) {
            float exponent = (float) (2 * i) / headDim;
            wavelengths[i] = (float) Math.pow(theta, exponent);
        }
        return wavelengths;
    }

    private float[] unscaled(float theta) {
        float[] frequencies = wavelengths(theta);
        for (int i = 0; i < frequencies.length; i++) {
            frequencies[i] = 1 / frequencies[i];
        }
        return frequencies;
    }

    private float[] linear(double factor) {
        float[] frequencies = unscaled((float) config.theta());
        for (int i = 0; i < frequencies.length; i++) {
            frequencies[i] /= (float) factor;
        }
        return frequencies;
    }

    private float[] divided(RopeScaling.Divided scaling) {
        float[] frequencies = unscaled((float) config.theta());
        if (scaling.divisors().size() != frequencies.length) {
            throw new IllegalArgumentException(
                    scaling.divisors().size() + " divisors for the " + frequencies.length + " pairs of a head");
        }
        for (int i = 0; i < frequencies.length; i++) {
            frequencies[i] /= scaling.divisors().get(i);
        }
        return frequencies;
    }

    /** The base grows so that the slowest pair is stretched by the excess length and the fastest not at all. */
    private float dynamicBase(RopeScaling.Dynamic dynamic, long totalTokens) {
        if (totalTokens <= dynamic.originalPositions()) {
            return (float) config.theta();
        }
        double exponent = headDim / (headDim - 2.0);
        float stretch = (float) dynamic.factor() * totalTokens / dynamic.originalPositions();
        float excess = stretch - (float) (dynamic.factor() - 1);
        return (float) config.theta() * (float) Math.pow(excess, (float) exponent);
    }

    private float[] llama3(RopeScaling.Llama3 scaling) {
        float[] frequencies = unscaled((float) config.theta());
        float original = scaling.originalPositions();
        float factor = (float) scaling.factor();
        float low = (float) scaling.lowFreqFactor();
        float longest = (float) (scaling.originalPositions() / scaling.lowFreqFactor());
        float shortest = (float) (scaling.originalPositions() / scaling.highFreqFactor());
        float span = (float) (scaling.highFreqFactor() - scaling.lowFreqFactor());
        for (int i = 0; i < frequencies.length; i++) {
            float frequency = frequencies[i];
            float wavelength = (float) (2 * Math.PI) / frequency;
            if (wavelength > longest) {
                frequencies[i] = frequency / factor;
            } else if (wavelength >= shortest) {
                float smooth = (original / wavelength - low) / span;
                frequencies[i] = (1 - smooth) * frequency / factor + smooth * frequency;
            }
        }
        return frequencies;
    }

    private float[] yarn(RopeScaling.Yarn scaling) {
        double low = pairThatTurns(scaling.betaFast(), scaling.originalPositions());
        double high = pairThatTurns(scaling.betaSlow(), scaling.originalPositions());
        if (scaling.truncate()) {
            low = Math.floor(low);
            high = Math.ceil(high);
        }
        low = Math.max(low, 0);
        high = Math.min(high, headDim - 1);
        float span = (float) (high == low ? 0.001 : high - low);
        float[] wavelengths = wavelengths((float) config.theta());
        float[] frequencies = new float[wavelengths.length];
        for (int i = 0; i < frequencies.length; i++) {
            float ramp = Math.clamp((i - (float) low) / span, 0f, 1f);
            float kept = 1 - ramp;
            float divided = 1 / ((float) scaling.factor() * wavelengths[i]);
            frequencies[i] = divided * (1 - kept) + 1 / wavelengths[i] * kept;
        }
        return frequencies;
    }

    /** The (fractional) pair that makes {@code turns} full turns over the original length. */
    private double pairThatTurns(double turns, int originalPositions) {
        return headDim * Math.log(originalPositions / (turns * 2 * Math.PI)) / (2 * Math.log(config.theta()));
    }

    private static double attentionFactor(RopeScaling.Yarn scaling) {
        if (scaling.attentionFactor().isPresent()) {
            return scaling.attentionFactor().getAsDouble();
        }
        double numerator = scaling.mscale().orElse(0);
        double denominator = scaling.mscaleAllDim().orElse(0);
        return numerator != 0 && denominator != 0
                ? magnitude(scaling.factor(), numerator) / magnitude(scaling.factor(), denominator)
                : magnitude(scaling.factor(), 1);
    }

    private static double magnitude(double factor, double weight) {
        return factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1;
    }
}
