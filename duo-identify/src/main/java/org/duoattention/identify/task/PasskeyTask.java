package org.duoattention.identify.task;

import java.util.ArrayList;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.OptionalInt;
import java.util.Random;
import org.duoattention.core.DuoException;
import org.duoattention.identify.text.HaystackText;
import org.duoattention.identify.text.Seeds;

/**
 * Hides passkeys on lines of their own between the sentences of a haystack and asks for one of them.
 *
 * <p>The prompt's length is exact: the assembled text is tokenised as a whole, and sentences are taken off its end until
 * it fits. Cost is linear in the context. Safe to share between threads if haystack and encoder are.
 */
public final class PasskeyTask {
    private final HaystackText haystack;
    private final TokenEncoder encoder;

    /** A task on a haystack, for the model that the encoder belongs to. */
    public PasskeyTask(HaystackText haystack, TokenEncoder encoder) {
        this.haystack = haystack;
        this.encoder = encoder;
    }

    /** The haystack that needles are hidden in. */
    public HaystackText haystack() {
        return haystack;
    }

    /**
     * Builds the prompt.
     *
     * @throws DuoException when the context has no room for needles, question, lead and reach
     */
    public PasskeyPrompt prompt(PasskeySpec spec) {
        Random random = Seeds.random(spec.seed(), spec.contextTokens(), Double.doubleToLongBits(spec.depth()));
        List<List<String>> passkeys = passkeys(spec, random);
        List<String> needles = new ArrayList<>();
        int needleTokens = 0;
        for (int i = 0; i < passkeys.size(); i++) {
            needles.add(PasskeyWording.needle(i, passkeys.get(i)));
            needleTokens += count(needles.get(i) + "\n");
        }
        int frame = encoder.encode("", true).length;
        int question = count(PasskeyWording.question(0));
        int room = spec.contextTokens() - frame - needleTokens - question;
        int slack = Math.max(1, Math.addExact(spec.lead(), spec.reach()));
        if (room < slack) {
            throw tooShort(spec, (long) spec.contextTokens() - room + slack);
        }
        Straw straw = gather(room, spec.seed());
        while (true) {
            Placed placed = place(spec, straw, random.nextLong());
            String text = assemble(straw, placed, needles) + PasskeyWording.question(placed.asked());
            int[] ids = encoder.encode(text, true);
            int excess = ids.length - spec.contextTokens();
            if (excess <= 0) {
                String answer = String.join(" ", passkeys.get(placed.asked()));
                return new PasskeyPrompt(
                        text,
                        ids,
                        answer,
                        count(" " + answer + "\n"),
                        encoder.encode(text.substring(0, text.indexOf(needles.get(placed.asked()))), true).length,
                        straw.repeats);
            }
            if (straw.sentences.isEmpty()) {
                throw tooShort(spec, ids.length);
            }
            straw.shorten(excess);
        }
    }

    private static DuoException tooShort(PasskeySpec spec, long needed) {
        return new DuoException("a prompt of " + spec.contextTokens() + " tokens is too short for " + spec.needles()
                + " needles of " + spec.words() + " words with " + spec.lead() + " tokens before and " + spec.reach()
                + " after them; at least " + needed + " are needed");
    }

    private static List<List<String>> passkeys(PasskeySpec spec, Random random) {
        List<List<String>> passkeys = new ArrayList<>();
        for (int i = 0; i < spec.needles(); i++) {
            List<String> words = new ArrayList<>(PasskeyWording.WORDS);
            Collections.shuffle(words, random);
            passkeys.add(List.copyOf(words.subList(0, spec.words())));
        }
        return passkeys;
    }

    private Straw gather(int room, long start) {
        Straw straw = new Straw();
        OptionalInt distinct = haystack.distinctParagraphs();
        Iterator<List<String>> paragraphs = haystack.paragraphs(start);
        for (int taken = 0; straw.tokens < room; taken++) {
            if (distinct.isPresent()) {
                straw.repeats = taken / distinct.getAsInt();
            }
            List<String> paragraph = paragraphs.next();
            for (int i = 0; i < paragraph.size() && straw.tokens < room; i++) {
                boolean last = i == paragraph.size() - 1;
                String sentence = paragraph.get(i) + (last ? "\n" : " ");
                straw.add(sentence, count(last ? sentence : " " + paragraph.get(i)));
            }
        }
        straw.shorten(straw.tokens - room);
        return straw;
    }

    /** Chooses the boundaries between sentences at which the needles go. */
    private static Placed place(PasskeySpec spec, Straw straw, long seed) {
        Random random = Seeds.random(seed);
        int last = Math.max(spec.lead(), straw.tokens - spec.reach());
        int wanted = (int) Math.round(spec.lead() + spec.depth() * (last - spec.lead()));
        List<Integer> boundaries = new ArrayList<>();
        int asked = straw.boundary(wanted, spec.lead(), last);
        boundaries.add(asked);
        for (int i = 1; i < spec.needles(); i++) {
            boundaries.add(straw.boundary(spec.lead() + random.nextInt(last - spec.lead() + 1), spec.lead(), last));
        }
        Collections.sort(boundaries);
        return new Placed(boundaries, boundaries.indexOf(asked));
    }

    private static String assemble(Straw straw, Placed placed, List<String> needles) {
        StringBuilder text = new StringBuilder();
        int needle = 0;
        for (int i = 0; i <= straw.sentences.size(); i++) {
            for (; needle < needles.size() && placed.boundaries().get(needle) == i; needle++) {
                breakLine(text);
                text.append(needles.get(needle)).append('\n');
            }
            if (i < straw.sentences.size()) {
                text.append(straw.sentences.get(i));
            }
        }
        breakLine(text);
        return text.toString();
    }

    private static void breakLine(StringBuilder text) {
        int end = text.length();
        if (end > 0 && text.charAt(end - 1) == ' ') {
            text.setCharAt(end - 1, '\n');
        } else if (end > 0 && text.charAt(end - 1) != '\n') {
            text.append('\n');
        }
    }

    private int count(String text) {
        return encoder.encode(text, false).length;
    }

    /**
     * Where the needles go.
     *
     * @param boundaries for each needle the number of sentences before it, ascending
     * @param asked index of the needle that is asked for
     */
    private record Placed(List<Integer> boundaries, int asked) {}

    /** Sentences of the haystack, each with the white space after it, and their tokens. */
    private static final class Straw {
        private final List<String> sentences = new ArrayList<>();
        /** Tokens of this many first sentences. */
        private final List<Integer> ends = new ArrayList<>(List.of(0));

        private int tokens;
        private int repeats;

        void add(String sentence, int count) {
            sentences.add(sentence);
            tokens += count;
            ends.add(tokens);
        }

        /** Takes at least this many tokens off the end, if there are so many. */
        void shorten(int excess) {
            int keep = tokens - excess;
            while (tokens > keep && !sentences.isEmpty()) {
                sentences.removeLast();
                ends.removeLast();
                tokens = ends.getLast();
            }
        }

        /** The boundary nearest to a token, from {@code first} to {@code last} tokens where there is one. */
        int boundary(int token, int first, int last) {
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
    }
}
