package org.duoattention.identify.task;

import org.duoattention.core.DuoException;

/**
 * What a passkey prompt should be like.
 *
 * @param contextTokens most tokens of the prompt, special tokens and question included
 * @param depth where the needle that is asked for lies between the first and the last allowed place, 0 to 1
 * @param needles passkeys in the text, 1 to {@link PasskeyWording#MAX_NEEDLES}; one is asked for
 * @param words words of a passkey, 1 to 26
 * @param lead tokens at the start that stay free of needles, so that sinks do not hold one
 * @param reach tokens before the question that stay free of needles, so that recent tokens do not hold one
 * @param seed equal specs give equal prompts
 */
public record PasskeySpec(int contextTokens, double depth, int needles, int words, int lead, int reach, long seed) {
    /**
     * Checks the ranges.
     *
     * @throws DuoException naming the value that is out of its range
     */
    public PasskeySpec {
        check(contextTokens >= 1, "a context is at least 1 token, not " + contextTokens);
        check(depth >= 0 && depth <= 1, "a depth lies between 0 and 1, not " + depth);
        check(
                needles >= 1 && needles <= PasskeyWording.MAX_NEEDLES,
                "a prompt has 1 to " + PasskeyWording.MAX_NEEDLES + " needles, not " + needles);
        check(
                words >= 1 && words <= PasskeyWording.WORDS.size(),
                "a passkey has 1 to " + PasskeyWording.WORDS.size() + " words, not " + words);
        check(lead >= 0 && reach >= 0, "lead and reach are not negative: " + lead + " and " + reach);
    }

    private static void check(boolean condition, String message) {
        if (!condition) {
            throw new DuoException(message);
        }
    }
}
