package org.duoattention.identify.data;

import org.duoattention.core.DuoException;
import org.duoattention.identify.task.PasskeyWording;

/**
 * What the sequences of {@link MultiPasskeyData} are like.
 *
 * @param passkeys passkeys of a sequence, 1 to {@link PasskeyWording#MAX_NEEDLES}; all are asked for at its end
 * @param words words of a passkey, at least 1
 * @param minTokens tokens of the shortest sequences, questions and answers included; what is placed between sentences may
 *     leave a sequence some tokens shorter
 * @param maxTokens tokens of the longest sequences before padding
 * @param lengths number of lengths, spread evenly from the shortest to the longest
 * @param minDepth earliest place of a passkey as a share of the haystack, 0 to 1
 * @param maxDepth latest place
 * @param depthSteps number of places between them that are drawn from
 * @param labels which hidden states count
 * @param multiple sequences are padded at their end to a multiple of this many tokens; what is causal does not see it
 * @param seed equal settings give equal sequences
 */
public record MultiPasskeySettings(
        int passkeys,
        int words,
        int minTokens,
        int maxTokens,
        int lengths,
        double minDepth,
        double maxDepth,
        int depthSteps,
        LabelRule labels,
        int multiple,
        long seed) {
    /** The authors' longest context unless the model's is shorter. */
    private static final int PAPER_MAX_TOKENS = 32_000;

    private static final int PAPER_MIN_TOKENS = 2_000;
    /** Models for shorter contexts get shorter sequences with shorter passkeys. */
    private static final int PAPER_CONTEXT = 8_192;

    private static final int SMALL_MAX_TOKENS = 1_024;
    private static final int SMALL_MIN_TOKENS = 320;
    private static final int PAPER_MULTIPLE = 16;

    /**
     * Checks the ranges.
     *
     * @throws DuoException naming the value that is out of its range
     */
    public MultiPasskeySettings {
        check(
                passkeys >= 1 && passkeys <= PasskeyWording.MAX_NEEDLES,
                "a sequence has 1 to " + PasskeyWording.MAX_NEEDLES + " passkeys, not " + passkeys);
        check(words >= 1, "a passkey has at least 1 word, not " + words);
        check(
                minTokens >= 1 && maxTokens >= minTokens,
                "sequences have at least 1 token and the longest is not shorter than the shortest, not " + minTokens
                        + " to " + maxTokens + " tokens");
        check(lengths >= 1, "there is at least 1 length, not " + lengths);
        check(
                minDepth >= 0 && maxDepth <= 1 && minDepth <= maxDepth,
                "depths ascend from 0 to 1, not from " + minDepth + " to " + maxDepth);
        check(depthSteps >= 1, "there is at least 1 depth, not " + depthSteps);
        check(multiple >= 1, "sequences are padded to a multiple of at least 1 token, not " + multiple);
    }

    /**
     * The values of the authors' code for a model that reads {@value #PAPER_CONTEXT} tokens or more: 10 passkeys of 32
     * words, 50 lengths to 32,000 tokens or what the model reads if that is less, depths of 0.05 to 0.95 in 1,000 steps.
     * The shortest have 2,000 tokens, of which questions and answers take about the half; the authors' have 1,000 tokens
     * without them. Smaller models get 4 passkeys of 6 words in 320 to 1,024 tokens, or in a quarter to all of what they
     * read if that is less.
     *
     * @param contextLimit longest context of the model
     */
    public static MultiPasskeySettings forContext(long contextLimit, long seed) {
        boolean large = contextLimit >= PAPER_CONTEXT;
        int most = (int) Math.min(contextLimit, large ? PAPER_MAX_TOKENS : SMALL_MAX_TOKENS);
        most -= most % PAPER_MULTIPLE;
        int least = large ? PAPER_MIN_TOKENS : Math.min(SMALL_MIN_TOKENS, Math.max(1, most / 4));
        return new MultiPasskeySettings(
                large ? 10 : 4,
                large ? 32 : 6,
                least,
                Math.max(least, most),
                50,
                0.05,
                0.95,
                1000,
                LabelRule.ANSWER,
                PAPER_MULTIPLE,
                seed);
    }

    /** Tokens of the longest sequence, padding included. */
    public int paddedTokens() {
        return padded(maxTokens);
    }

    int padded(int tokens) {
        return Math.toIntExact(Math.ceilDiv((long) tokens, multiple) * multiple);
    }

    private static void check(boolean condition, String message) {
        if (!condition) {
            throw new DuoException(message);
        }
    }
}
