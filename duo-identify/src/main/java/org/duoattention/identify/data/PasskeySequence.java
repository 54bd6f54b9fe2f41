package org.duoattention.identify.data;

import java.util.List;

/**
 * A sequence with passkeys, and where they are.
 *
 * @param sequence ids and labels
 * @param passkeys in order of their places
 */
public record PasskeySequence(TrainingSequence sequence, List<Passkey> passkeys) {
    /**
     * Where one passkey lies: ranges of token positions, from inclusive, to exclusive.
     *
     * @param from first token of its words in the haystack
     * @param to end of them
     * @param answerFrom first token of its words behind the question; at least 1
     * @param answerTo end of them
     */
    public record Passkey(int from, int to, int answerFrom, int answerTo) {}

    /** Copies the list. */
    public PasskeySequence {
        passkeys = List.copyOf(passkeys);
    }
}
