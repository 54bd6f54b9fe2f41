package org.duoattention.identify.constructed;

import org.duoattention.identify.task.PasskeyWording;

/**
 * What each dimension of the residual stream of {@link ConstructedModel} means.
 *
 * <p>RMSNorm cannot be switched off, so every token carries a constant {@link #AMPLITUDE} that dominates its norm:
 * ordinary tokens in {@link #CONSTANT}, the BOS in {@link #BOS}. Features of size 1 then change the norm by less than 2
 * %, and after the norm a feature has the known size {@link #FEATURE} and the constant the known size {@link #UNIT}.
 */
final class ResidualStream {
    static final int WORDS = PasskeyWording.WORDS.size();
    static final int ORDINALS = PasskeyWording.ORDINALS.size();

    /** One for every token but the BOS. */
    static final int CONSTANT = 0;

    /** One for the BOS only: the sink. */
    static final int BOS = 1;

    /** One-hot: the token is this ordinal. */
    static final int ORDINAL = 2;

    /** One-hot: the token is this passkey word, or ({@link #END}) a line break or full stop. */
    static final int WORD = ORDINAL + ORDINALS;

    /** Place among the words of what ends a passkey. */
    static final int END = WORDS;

    /** {@code MARKER + k}: the token k places back is the marker; k = 0 by embedding, 1 to 8 by heads. */
    static final int MARKER = WORD + WORDS + 1;

    /** One-hot: the nearest ordinal before this token. */
    static final int NEAREST_ORDINAL = MARKER + ConstructedModel.MAX_WORDS + 1;

    /** One-hot: the word, or end, that a retrieval head has copied. */
    static final int ANSWER = NEAREST_ORDINAL + ORDINALS;

    /** From here on: random features of tokens, which nothing that matters reads. */
    static final int HAYSTACK = ANSWER + WORDS + 1;

    static final int WIDTH = 128;

    static final double AMPLITUDE = 16;

    /** About the sum of squares of the features of a token. */
    private static final double FEATURE_ENERGY = 3;

    /** A feature of size 1 after RMSNorm. */
    static final double FEATURE = Math.sqrt(WIDTH) / Math.sqrt(AMPLITUDE * AMPLITUDE + FEATURE_ENERGY);

    /** The constant after RMSNorm. */
    static final double UNIT = AMPLITUDE * FEATURE;

    private ResidualStream() {}
}
