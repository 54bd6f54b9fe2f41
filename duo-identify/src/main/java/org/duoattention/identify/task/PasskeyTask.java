package org.duoattention.identify.task;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
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
        List<List<String>> passkeys = PasskeyWording.draw(random, spec.needles(), spec.words());
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
        HaystackSentences straw = HaystackSentences.gather(haystack, encoder, room, spec.seed());
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
                        straw.repeats());
            }
            if (straw.isEmpty()) {
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

    /** Chooses the boundaries between sentences at which the needles go. */
    private static Placed place(PasskeySpec spec, HaystackSentences straw, long seed) {
        Random random = Seeds.random(seed);
        int last = Math.max(spec.lead(), straw.tokens() - spec.reach());
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

    private static String assemble(HaystackSentences straw, Placed placed, List<String> needles) {
        List<String> parts = straw.parts(placed.boundaries());
        StringBuilder text = new StringBuilder(parts.getFirst());
        for (int i = 0; i < needles.size(); i++) {
            text.append(needles.get(i)).append('\n').append(parts.get(i + 1));
        }
        return text.toString();
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
}
