package org.duoattention.examples.cli;

import java.util.HashSet;
import java.util.List;
import java.util.stream.IntStream;
import org.duoattention.core.DuoException;
import org.duoattention.identify.task.PasskeyWording;

/**
 * Which prompts are asked.
 *
 * @param contexts context lengths in tokens, prompt and answer together
 * @param depths places of the needle, 0 to 1
 * @param samples prompts per context and depth
 * @param needles passkeys in a prompt
 * @param words words of a passkey
 * @param seed of haystack, passkeys and places
 */
record NeedleGrid(List<Integer> contexts, List<Double> depths, int samples, int needles, int words, long seed) {
    /**
     * Checks what the user asked for.
     *
     * @param depthCount depths, spread evenly from 0 to 1
     * @throws DuoException naming the option that is out of range
     */
    static NeedleGrid of(List<Integer> contexts, int depthCount, int samples, int needles, int words, long seed) {
        if (contexts.isEmpty()) {
            throw new DuoException("--contexts is empty; give one or more lengths in tokens, such as 512,2048");
        }
        for (int context : contexts) {
            Ranges.atLeast("--contexts", context, 1);
        }
        if (new HashSet<>(contexts).size() < contexts.size()) {
            throw new DuoException("--contexts " + contexts + " names a length twice");
        }
        Ranges.atLeast("--depths", depthCount, 1);
        Ranges.atLeast("--samples", samples, 1);
        within("--needles", needles, PasskeyWording.MAX_NEEDLES);
        within("--words", words, PasskeyWording.WORDS.size());
        List<Double> depths = IntStream.range(0, depthCount)
                .mapToObj(i -> depthCount == 1 ? 0.5 : i / (depthCount - 1.0))
                .toList();
        return new NeedleGrid(List.copyOf(contexts), depths, samples, needles, words, seed);
    }

    int longestContext() {
        return contexts.stream().mapToInt(Integer::intValue).max().orElseThrow();
    }

    /** Tokens of all prompts together, at most. */
    long promptTokens() {
        return contexts.stream().mapToLong(Integer::longValue).sum() * depths.size() * samples;
    }

    private static void within(String option, int value, int most) {
        if (value < 1 || value > most) {
            throw new DuoException(option + " is " + value + "; it must be 1 to " + most);
        }
    }
}
