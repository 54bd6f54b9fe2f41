package org.duoattention.core.tokenizer;

import java.util.Collection;
import java.util.List;
import java.util.Optional;
import org.duoattention.core.DuoException;

/**
 * Cuts generated text at the first stop string and withholds text that may be the beginning of one. How the text is split
 * into pieces does not matter: the stop string that is complete first wins, and of several that are complete at the same
 * character the longest.
 *
 * <p>One Knuth-Morris-Pratt automaton per stop string, so each character costs one step per stop string. An instance serves
 * one text and one thread.
 */
public final class StopStrings {
    private final List<String> stops;
    private final int[][] fallbacks;
    /** How many characters of each stop string the text read so far ends with. */
    private final int[] matched;

    private final StringBuilder withheld = new StringBuilder();
    private Optional<String> stop = Optional.empty();

    /**
     * @param stops may be empty, in which case text passes through unchanged
     * @throws DuoException if a stop string is empty
     */
    public StopStrings(Collection<String> stops) {
        this.stops = List.copyOf(stops);
        this.fallbacks = new int[this.stops.size()][];
        this.matched = new int[this.stops.size()];
        for (int i = 0; i < fallbacks.length; i++) {
            if (this.stops.get(i).isEmpty()) {
                throw new DuoException("A stop string is empty; expected at least one character.");
            }
            fallbacks[i] = fallback(this.stops.get(i));
        }
    }

    /** Takes the next piece and returns the text that is certain not to be part of a stop string; empty once stopped. */
    public String push(String piece) {
        for (int at = 0; at < piece.length() && stop.isEmpty(); at++) {
            char c = piece.charAt(at);
            withheld.append(c);
            for (int i = 0; i < matched.length; i++) {
                advance(i, c);
            }
        }
        return release(stop.isPresent() ? withheld.length() : withheld.length() - longestMatch());
    }

    /** Returns what was withheld when the text ends without a stop string; empty once stopped. */
    public String flush() {
        return release(withheld.length());
    }

    /** The stop string that ended the text, if one did. */
    public Optional<String> stop() {
        return stop;
    }

    private void advance(int i, char c) {
        String text = stops.get(i);
        int state = matched[i];
        while (state > 0 && text.charAt(state) != c) {
            state = fallbacks[i][state - 1];
        }
        matched[i] = text.charAt(state) == c ? state + 1 : 0;
        if (matched[i] == text.length()) {
            matched[i] = fallbacks[i][text.length() - 1];
            found(text);
        }
    }

    /** Cuts the stop string from the withheld text; a longer one complete at the same character cuts more. */
    private void found(String text) {
        int already = stop.map(String::length).orElse(0);
        if (text.length() > already) {
            withheld.setLength(withheld.length() - (text.length() - already));
            stop = Optional.of(text);
        }
    }

    private int longestMatch() {
        int longest = 0;
        for (int length : matched) {
            longest = Math.max(longest, length);
        }
        return longest;
    }

    private String release(int length) {
        String released = withheld.substring(0, length);
        withheld.delete(0, length);
        return released;
    }

    /** For each prefix, the length of its longest proper prefix that is also its suffix. */
    private static int[] fallback(String text) {
        int[] result = new int[text.length()];
        int length = 0;
        for (int i = 1; i < text.length(); i++) {
            while (length > 0 && text.charAt(i) != text.charAt(length)) {
                length = result[length - 1];
            }
            if (text.charAt(i) == text.charAt(length)) {
                length++;
            }
            result[i] = length;
        }
        return result;
    }
}
