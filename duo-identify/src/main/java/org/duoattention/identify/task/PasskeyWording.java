package org.duoattention.identify.task;

import java.util.List;

/**
 * The sentences of the passkey task: a passkey is a row of words of the NATO alphabet, named by its ordinal.
 *
 * <p>After the multiple-passkey data of DuoAttention (arXiv 2410.10819, section 2.2).
 */
public final class PasskeyWording {
    /** Most passkeys in one prompt. */
    public static final int MAX_NEEDLES = 10;

    /** The words that passkeys are made of. */
    public static final List<String> WORDS = List.of(
            "alpha",
            "bravo",
            "charlie",
            "delta",
            "echo",
            "foxtrot",
            "golf",
            "hotel",
            "india",
            "juliett",
            "kilo",
            "lima",
            "mike",
            "november",
            "oscar",
            "papa",
            "quebec",
            "romeo",
            "sierra",
            "tango",
            "uniform",
            "victor",
            "whiskey",
            "xray",
            "yankee",
            "zulu");

    /** The names of passkeys in order. */
    public static final List<String> ORDINALS =
            List.of("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth");

    private PasskeyWording() {}

    /** The line that hides a passkey, without a line break. */
    static String needle(int index, List<String> words) {
        return "The " + ORDINALS.get(index) + " passkey is: " + String.join(" ", words);
    }

    /** The question, which ends where the answer begins, without a space: the answer's first token brings its own. */
    static String question(int index) {
        return "What is the " + ORDINALS.get(index) + " passkey? The passkey is:";
    }
}
