package org.duoattention.core.model;

import java.util.List;
import java.util.OptionalDouble;

/** How a checkpoint stretches rotary position embedding; the types of Hugging Face's {@code rope_type}. */
public sealed interface RopeScaling {
    /** {@code default}: none. */
    record None() implements RopeScaling {}

    /**
     * {@code linear}: all frequencies divided by a factor (position interpolation, arXiv 2306.15595).
     *
     * @param factor divisor
     */
    record Linear(double factor) implements RopeScaling {}

    /**
     * {@code dynamic}: the base grows once the sequence is longer than the model was trained for (NTK-aware).
     *
     * @param factor how strongly
     * @param originalPositions positions up to which nothing changes
     */
    record Dynamic(double factor, int originalPositions) implements RopeScaling {}

    /**
     * {@code llama3}: long wavelengths are divided by a factor, short ones untouched, smooth in between.
     *
     * @param factor divisor
     * @param lowFreqFactor wavelengths above {@code originalPositions / lowFreqFactor} are divided
     * @param highFreqFactor wavelengths below {@code originalPositions / highFreqFactor} are kept
     * @param originalPositions positions that the model was trained for before stretching
     */
    record Llama3(double factor, double lowFreqFactor, double highFreqFactor, int originalPositions)
            implements RopeScaling {}

    /**
     * {@code yarn} (arXiv 2309.00071): frequencies that turn often are kept, slow ones are divided, and cosine and sine
     * are scaled.
     *
     * @param factor divisor
     * @param originalPositions positions that the model was trained for before stretching
     * @param attentionFactor factor on cosine and sine; inferred from the others when empty
     * @param mscale weight of {@code log(factor)} in the inferred factor's numerator, with {@code mscaleAllDim}
     * @param mscaleAllDim weight of {@code log(factor)} in its denominator
     * @param betaFast turns over the original positions above which a frequency is kept
     * @param betaSlow turns below which a frequency is divided
     * @param truncate whether the bounds between are rounded to whole pairs
     */
    record Yarn(
            double factor,
            int originalPositions,
            OptionalDouble attentionFactor,
            OptionalDouble mscale,
            OptionalDouble mscaleAllDim,
            double betaFast,
            double betaSlow,
            boolean truncate)
            implements RopeScaling {}

    /**
     * Every frequency divided by its own divisor: what GGUF files hold in {@code rope_freqs.weight} in place of the scaling
     * that it was computed from.
     *
     * @param divisors one for each pair of a head, positive
     */
    record Divided(List<Float> divisors) implements RopeScaling {
        /** Copies the divisors. */
        public Divided {
            divisors = List.copyOf(divisors);
        }
    }
}
