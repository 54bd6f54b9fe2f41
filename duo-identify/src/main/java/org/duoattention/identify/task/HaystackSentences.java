package org.duoattention.identify.task;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.OptionalInt;
import org.duoattention.identify.text.HaystackText;

/**
 * The sentences of a haystack that a text with passkeys is made of, and how many tokens they take. For use by one thread.
 */
public final class HaystackSentences {
    private final List<String> sentences = new ArrayList<>();
    /** Tokens of this many first sentences. */
    private final List<Integer> ends = new ArrayList<>(List.of(0));

    private int tokens;
    private int repeats;

    private HaystackSentences() {}

    /**
     * Takes sentences until they would exceed a number of tokens.
     *
     * @param tokens most tokens, counted sentence by sentence
     * @param start which of the haystack's many places to begin at
     */
    public static HaystackSentences gather(HaystackText haystack, TokenEncoder encoder, int tokens, long start) {
        HaystackSentences gathered = new HaystackSentences();
        OptionalInt distinct = haystack.distinctParagraphs();
        Iterator<List<String>> paragraphs = haystack.paragraphs(start);
        for (int taken = 0; gathered.tokens < tokens; taken++) {
            if (distinct.isPresent()) {
                gathered.repeats = taken / distinct.getAsInt();
            }
            List<String> paragraph = paragraphs.next();
            for (int i = 0; i < paragraph.size() && gathered.tokens < tokens; i++) {
                boolean last = i == paragraph.size() - 1;
                String sentence = paragraph.get(i) + (last ? "\n" : " ");
                gathered.add(sentence, encoder.encode(last ? sentence : " " + paragraph.get(i), false).length);
            }
        }
        gathered.shorten(gathered.tokens - tokens);
        return gathered;
    }

    private void add(String sentence, int count) {
        sentences.add(sentence);
        tokens += count;
        ends.add(tokens);
    }

    /** Tokens of all sentences, each counted on its own. */
    public int tokens() {
        return tokens;
    }

    /** How often the haystack was begun again because it is too short. */
    public int repeats() {
        return repeats;
    }

    /** Whether no sentence is left. */
    public boolean isEmpty() {
        return sentences.isEmpty();
    }

    /** Takes at least this many tokens off the end, if there are so many. */
    public void shorten(int excess) {
        int keep = tokens - excess;
        while (tokens > keep && !sentences.isEmpty()) {
            sentences.removeLast();
            ends.removeLast();
            tokens = ends.getLast();
        }
    }

    /**
     * The boundary between sentences that is nearest to a token, within limits where there is such a one.
     *
     * @param token tokens before the boundary that is wanted
     * @param first fewest tokens before it
     * @param last most tokens before it
     * @return the number of sentences before the boundary
     */
    public int boundary(int token, int first, int last) {
        int found = Collections.binarySearch(ends, token);
        int above = found >= 0 ? found : -found - 1;
        int low = Math.max(0, above - 1);
        int high = Math.min(above, sentences.size());
        boolean lowFits = ends.get(low) >= first;
        boolean highFits = ends.get(high) <= last;
        if (lowFits == highFits) {
            return token - ends.get(low) < ends.get(high) - token ? low : high;
        }
        return lowFits ? low : high;
    }

    /**
     * The text in parts, one more than boundaries. A part that is not empty ends with a line break.
     *
     * @param boundaries numbers of sentences, ascending
     */
    public List<String> parts(List<Integer> boundaries) {
        List<String> parts = new ArrayList<>();
        int from = 0;
        for (int i = 0; i <= boundaries.size(); i++) {
            int to = i < boundaries.size() ? boundaries.get(i) : sentences.size();
            parts.add(lines(sentences.subList(from, to)));
            from = to;
        }
        return parts;
    }

    private static String lines(List<String> sentences) {
        StringBuilder text = new StringBuilder();
        sentences.forEach(text::append);
        int end = text.length();
        if (end > 0 && text.charAt(end - 1) == ' ') {
            text.setCharAt(end - 1, '\n');
        }
        return text.toString();
    }
}
