package org.duoattention.identify.task;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;

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

    /**
     * Passkeys drawn at random. The words of one differ from each other where there are enough words; longer ones, such as
     * the paper's of 32 words, repeat some.
     *
     * @param count passkeys
     * @param words words of each
     */
    public static List<List<String>> draw(Random random, int count, int words) {
        List<List<String>> passkeys = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            List<String> row = new ArrayList<>(WORDS);
            if (words <= row.size()) {
                Collections.shuffle(row, random);
            } else {
                row = random.ints(words, 0, WORDS.size()).mapToObj(WORDS::get).toList();
            }
            passkeys.add(List.copyOf(row.subList(0, words)));
        }
        return passkeys;
    }

    /** How a passkey is introduced, without a space at the end: its first word brings its own. */
    public static String introduction(int index) {
        return "The " + ORDINALS.get(index) + " passkey is:";
    }

    /** The line that hides a passkey, without a line break. */
    public static String needle(int index, List<String> words) {
        return introduction(index) + " " + String.join(" ", words);
    }

    /** The question, which ends where the answer begins, without a space: the answer's first token brings its own. */
    public static String question(int index) {
        return "What is the " + ORDINALS.get(index) + " passkey? The passkey is:";
    }
}
