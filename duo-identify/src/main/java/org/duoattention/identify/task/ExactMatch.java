package org.duoattention.identify.task;

import java.util.Arrays;

/** Scores an answer by exact match of all words: those of the first line that has any, no more and no fewer. */
public final class ExactMatch {
    private ExactMatch() {}

    /** Whether the generated text begins with a line that holds exactly the expected words. */
    public static boolean matches(String expected, String generated) {
        return Arrays.equals(words(expected), words(answerLine(generated)));
    }

    /**
     * Whether a text that goes on may still {@link #matches match}, so that nothing more needs to be generated when it may
     * not.
     */
    public static boolean mayMatch(String expected, String soFar) {
        String begun = soFar.stripLeading();
        if (begun.lines().count() > 1 || begun.endsWith("\n")) {
            return matches(expected, soFar);
        }
        String folded = String.join(" ", words(begun));
        boolean wordIsComplete = !begun.isEmpty() && Character.isWhitespace(begun.charAt(begun.length() - 1));
        String complete = String.join(" ", words(expected));
        return complete.equals(folded) || complete.startsWith(wordIsComplete ? folded + " " : folded);
    }

    /** The line of the generated text that counts as the answer, without white space around it. */
    public static String answerLine(String generated) {
        return generated.strip().lines().findFirst().orElse("").strip();
    }

    private static String[] words(String line) {
        return line.strip().split("\\s+");
    }
}
