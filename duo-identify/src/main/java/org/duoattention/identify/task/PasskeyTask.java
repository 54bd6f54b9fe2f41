package org.duoattention.identify.task;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
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
    /** Tokens that an answer may take beyond its own: room for a tokenizer that cuts the words differently. */
    private static final int SPARE_ANSWER_TOKENS = 8;

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

    /** Tokens of the longest of some questions. */
    public int questionTokens(int needles) {
        return IntStream.range(0, needles)
                .map(i -> count(PasskeyWording.question(i)))
                .max()
                .orElseThrow();
    }

    /** Tokens that an answer may take: those of the longest words there are, and room for another way to cut them. */
    public int answerTokens(int words) {
        int longest = PasskeyWording.WORDS.stream()
                .mapToInt(word -> count(" " + word))
                .max()
                .orElseThrow();
        return words * longest + SPARE_ANSWER_TOKENS;
    }

    /**
     * Builds the prompt.
     *
     * @throws DuoException when the context has no room for needles, question, lead and reach
     */
    public PasskeyPrompt prompt(PasskeySpec spec) {
        Built built = build(spec, 1);
        int asked = built.asked();
        return new PasskeyPrompt(
                built.text() + PasskeyWording.question(asked),
                built.ids(),
                built.answer(asked),
                answerTokens(built, asked),
                needleToken(built, asked),
                built.repeats());
    }

    /**
     * Builds the text without a question, and the questions for all of its passkeys. Text and any one question together
     * keep to the spec's context.
     *
     * @throws DuoException when the context has no room for needles, question, lead and reach, or the tokenizer has
     *     tokens that reach from the text into a question
     */
    public PasskeyDocument document(PasskeySpec spec) {
        Built built = build(spec, spec.needles());
        String asked = PasskeyWording.question(built.asked());
        int[] ids = TokenPieces.encode(encoder, List.of(built.text(), asked)).getFirst();
        String lastLine = built.text()
                .substring(built.text().lastIndexOf('\n', built.text().length() - 2) + 1);
        List<PasskeyDocument.Question> questions = IntStream.range(0, spec.needles())
                .mapToObj(i -> new PasskeyDocument.Question(
                        TokenPieces.after(encoder, lastLine, PasskeyWording.question(i)),
                        built.answer(i),
                        answerTokens(built, i),
                        needleToken(built, i)))
                .toList();
        return new PasskeyDocument(built.text(), ids, questions, built.repeats());
    }

    /**
     * Text with needles that fits together with the longest of some questions.
     *
     * @param questions first questions, for the longest of which room is kept free; the text is measured as a whole
     *     with the one that is asked
     */
    private Built build(PasskeySpec spec, int questions) {
        Random random = Seeds.random(spec.seed(), spec.contextTokens(), Double.doubleToLongBits(spec.depth()));
        List<List<String>> passkeys = PasskeyWording.draw(random, spec.needles(), spec.words());
        List<String> needles = new ArrayList<>();
        int needleTokens = 0;
        for (int i = 0; i < passkeys.size(); i++) {
            needles.add(PasskeyWording.needle(i, passkeys.get(i)));
            needleTokens += count(needles.get(i) + "\n");
        }
        int frame = encoder.encode("", true).length;
        int question = questionTokens(questions);
        int room = spec.contextTokens() - frame - needleTokens - question;
        int slack = Math.max(1, Math.addExact(spec.lead(), spec.reach()));
        if (room < slack) {
            throw tooShort(spec, (long) spec.contextTokens() - room + slack);
        }
        HaystackSentences straw = HaystackSentences.gather(haystack, encoder, room, spec.seed());
        while (true) {
            Placed placed = place(spec, straw, random.nextLong());
            String text = assemble(straw, placed, needles);
            String asked = PasskeyWording.question(placed.asked());
            int[] ids = encoder.encode(text + asked, true);
            int spread = questions == 1 ? 0 : Math.max(0, question - count(asked));
            int excess = ids.length + spread - spec.contextTokens();
            if (excess <= 0) {
                return new Built(text, ids, passkeys, needles, placed.asked(), straw.repeats());
            }
            if (straw.isEmpty()) {
                throw tooShort(spec, ids.length);
            }
            straw.shorten(excess);
        }
    }

    private int answerTokens(Built built, int needle) {
        return count(" " + built.answer(needle) + "\n");
    }

    private int needleToken(Built built, int needle) {
        String before =
                built.text().substring(0, built.text().indexOf(built.needles().get(needle)));
        return encoder.encode(before, true).length;
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
     * A text with needles.
     *
     * @param text without a question
     * @param ids of the text and the question that is asked
     */
    private record Built(
            String text, int[] ids, List<List<String>> passkeys, List<String> needles, int asked, int repeats) {
        String answer(int needle) {
            return String.join(" ", passkeys.get(needle));
        }
    }

    /**
     * Where the needles go.
     *
     * @param boundaries for each needle the number of sentences before it, ascending
     * @param asked index of the needle that is asked for
     */
    private record Placed(List<Integer> boundaries, int asked) {}
}
