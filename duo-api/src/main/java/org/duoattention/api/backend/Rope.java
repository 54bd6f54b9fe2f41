package org.duoattention.api.backend;

/**
 * Rotary position embedding (RoFormer, arXiv 2104.09864) in the layout of Hugging Face checkpoints: with {@code n}
 * frequencies, elements {@code i} and {@code i + n} of a head form pair {@code i}; elements from {@code 2n} on are not
 * rotated.
 *
 * <p>Pair {@code i} of a token at position {@code p} is turned by the angle {@code p * inverseFrequency(i)}, computed in
 * double precision (a float angle is wrong by 0.06 rad at a million tokens); cosine and sine are multiplied by {@code
 * attentionFactor}. Compare by identity or by {@link #equals}; immutable.
 */
public final class Rope {
    private final double[] inverseFrequencies;
    private final double attentionFactor;

    /**
     * A rotation.
     *
     * @param inverseFrequencies radians per token of each pair, scaling already applied; not empty
     * @param attentionFactor factor on cosine and sine; 1 except for YaRN
     */
    public Rope(double[] inverseFrequencies, double attentionFactor) {
        if (inverseFrequencies.length == 0) {
            throw new IllegalArgumentException("a rotation has at least one frequency");
        }
        this.inverseFrequencies = inverseFrequencies.clone();
        this.attentionFactor = attentionFactor;
    }

    /** Number of pairs that are rotated. */
    public int pairs() {
        return inverseFrequencies.length;
    }

    /** Radians per token of a pair. */
    public double inverseFrequency(int pair) {
        return inverseFrequencies[pair];
    }

    /** Factor on cosine and sine. */
    public double attentionFactor() {
        return attentionFactor;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Rope that
                && attentionFactor == that.attentionFactor
                && java.util.Arrays.equals(inverseFrequencies, that.inverseFrequencies);
    }

    @Override
    public int hashCode() {
        return 31 * java.util.Arrays.hashCode(inverseFrequencies) + Double.hashCode(attentionFactor);
    }
}
