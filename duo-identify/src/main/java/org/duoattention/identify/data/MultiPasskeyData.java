package org.duoattention.identify.data;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.duoattention.core.DuoException;
import org.duoattention.identify.data.PasskeySequence.Passkey;
import org.duoattention.identify.task.HaystackSentences;
import org.duoattention.identify.task.PasskeyWording;
import org.duoattention.identify.task.TokenEncoder;
import org.duoattention.identify.task.TokenPieces;
import org.duoattention.identify.text.HaystackText;
import org.duoattention.identify.text.Seeds;

/**
 * The synthetic data on which heads are identified: several passkeys in a long text, each asked for and answered at its
 * end (arXiv 2410.10819, section 2.2).
 *
 * <p>Passkeys lie on lines of their own between the sentences of the haystack, nearest to the depths that were drawn, in
 * the wording of {@link PasskeyWording}. The authors' lengths count the haystack and its passkeys; here they count the
 * whole sequence, so that what a run takes is known from the settings.
 *
 * <p>A sequence is a pure function of the settings and the step. Safe to share between threads if haystack and encoder
 * are.
 */
public final class MultiPasskeyData implements TrainingData {
    /** Keeps the draws of this class apart from others' with the same seed. */
    private static final long PURPOSE = 0x4D505344;

    private final MultiPasskeySettings settings;
    private final HaystackText haystack;
    private final TokenEncoder encoder;

    /**
     * Data for a model.
     *
     * @param contextLimit longest context that the model was made for
     * @param vocabulary number of the model's token ids
     * @throws DuoException when sequences would be longer than the model's context or have no room for the passkeys, the
     *     haystack is shorter than a sequence, or the tokenizer cannot tell the words of passkeys apart
     */
    public MultiPasskeyData(
            MultiPasskeySettings settings,
            HaystackText haystack,
            TokenEncoder encoder,
            long contextLimit,
            int vocabulary) {
        this.settings = settings;
        this.haystack = haystack;
        this.encoder = encoder;
        if (settings.paddedTokens() > contextLimit) {
            throw new DuoException("sequences of " + settings.paddedTokens()
                    + " tokens are longer than the model's context of " + contextLimit
                    + " tokens; ask for shorter ones");
        }
        checkWords(vocabulary);
        checkHaystack();
        checkShortest();
    }

    private void checkWords(int vocabulary) {
        Map<List<Integer>, String> seen = new HashMap<>();
        for (String word : PasskeyWording.WORDS) {
            List<Integer> ids = Arrays.stream(TokenPieces.after(encoder, PasskeyWording.introduction(0), " " + word))
                    .boxed()
                    .toList();
            String same = seen.putIfAbsent(ids, word);
            if (ids.isEmpty() || same != null) {
                throw new DuoException("The tokenizer encodes the passkey word '" + word
                        + (ids.isEmpty() ? "' as nothing" : "' like '" + same + "'")
                        + ", so passkeys cannot be told apart; use a model whose tokenizer knows English letters");
            }
            for (int id : ids) {
                if (id < 0 || id >= vocabulary) {
                    throw new DuoException("The tokenizer encodes the passkey word '" + word + "' with id " + id
                            + ", the model has " + vocabulary + " ids; check that tokenizer.json belongs to the model");
                }
            }
        }
    }

    private void checkHaystack() {
        if (haystack.distinctParagraphs().isEmpty()) {
            return;
        }
        Iterator<List<String>> paragraphs = haystack.paragraphs(0);
        long tokens = 0;
        for (int i = 0; i < haystack.distinctParagraphs().getAsInt() && tokens < settings.maxTokens(); i++) {
            tokens += encoder.encode(String.join(" ", paragraphs.next()) + "\n", false).length;
        }
        if (tokens < settings.maxTokens()) {
            throw new DuoException("haystack " + haystack.name() + " has " + tokens + " tokens, sequences of up to "
                    + settings.maxTokens() + " are asked for; give a longer text or ask for shorter sequences");
        }
    }

    /** Builds one of the shortest sequences, which refuses what cannot be done in any. */
    private void checkShortest() {
        build(settings.minTokens(), 0, Seeds.random(settings.seed(), PURPOSE));
    }

    /** What the sequences are like. */
    public MultiPasskeySettings settings() {
        return settings;
    }

    /** The text that passkeys are hidden in. */
    public HaystackText haystack() {
        return haystack;
    }

    @Override
    public int maxTokens() {
        return settings.paddedTokens();
    }

    @Override
    public TrainingSequence sequence(long step) {
        return passkeys(step).sequence();
    }

    /** The sequence of a step with the places of its passkeys. */
    public PasskeySequence passkeys(long step) {
        Random random = Seeds.random(settings.seed(), PURPOSE, step);
        return build(length(random.nextInt(settings.lengths())), random.nextLong(), random);
    }

    /** {@code linspace(min, max, lengths)[index]}, rounded down. */
    private int length(int index) {
        if (settings.lengths() == 1) {
            return settings.maxTokens();
        }
        long span = (long) settings.maxTokens() - settings.minTokens();
        return (int) (settings.minTokens() + span * index / (settings.lengths() - 1));
    }

    private PasskeySequence build(int tokens, long start, Random random) {
        List<List<String>> passkeys = PasskeyWording.draw(random, settings.passkeys(), settings.words());
        double[] depths = depths(random);
        List<String> tail = tail(passkeys);
        int fixed = encoder.encode("", true).length + count(String.join("", tail));
        for (int i = 0; i < passkeys.size(); i++) {
            fixed += count(PasskeyWording.needle(i, passkeys.get(i)) + "\n");
        }
        if (fixed >= tokens) {
            throw tooShort(tokens, fixed);
        }
        HaystackSentences straw = HaystackSentences.gather(haystack, encoder, tokens - fixed, start);
        while (!straw.isEmpty()) {
            List<String> pieces = new ArrayList<>(hidden(straw, depths, passkeys));
            pieces.addAll(tail);
            List<int[]> ids = TokenPieces.encode(encoder, pieces);
            int excess = ids.stream().mapToInt(piece -> piece.length).sum() - tokens;
            if (excess <= 0) {
                return sequence(ids, passkeys.size());
            }
            straw.shorten(excess);
        }
        throw tooShort(tokens, fixed);
    }

    private DuoException tooShort(int tokens, int fixed) {
        return new DuoException("a sequence of " + tokens + " tokens is too short for " + settings.passkeys()
                + " passkeys of " + settings.words() + " words with their questions and answers, which take " + fixed
                + " tokens without any text around them; ask for longer sequences, or for fewer or shorter passkeys");
    }

    private double[] depths(Random random) {
        double step = settings.depthSteps() == 1
                ? 0
                : (settings.maxDepth() - settings.minDepth()) / (settings.depthSteps() - 1);
        return IntStream.range(0, settings.passkeys())
                .mapToDouble(i -> settings.minDepth() + step * random.nextInt(settings.depthSteps()))
                .sorted()
                .toArray();
    }

    /** Haystack and passkeys: of every passkey the text before it, its introduction and its words; then the rest. */
    private static List<String> hidden(HaystackSentences straw, double[] depths, List<List<String>> passkeys) {
        List<Integer> boundaries = Arrays.stream(depths)
                .mapToObj(depth -> straw.boundary((int) Math.round(depth * straw.tokens()), 0, straw.tokens()))
                .toList();
        List<String> parts = straw.parts(boundaries);
        List<String> pieces = new ArrayList<>();
        for (int i = 0; i < passkeys.size(); i++) {
            pieces.add(i == 0 ? parts.get(i) : "\n" + parts.get(i));
            pieces.add(PasskeyWording.introduction(i));
            pieces.add(" " + String.join(" ", passkeys.get(i)));
        }
        pieces.add("\n" + parts.getLast());
        return pieces;
    }

    /** Questions and answers in turn, and a line break at the end. */
    private static List<String> tail(List<List<String>> passkeys) {
        List<String> tail = new ArrayList<>();
        for (int i = 0; i < passkeys.size(); i++) {
            tail.add((i == 0 ? "" : "\n") + PasskeyWording.question(i));
            tail.add(" " + String.join(" ", passkeys.get(i)));
        }
        tail.add("\n");
        return tail;
    }

    private PasskeySequence sequence(List<int[]> pieces, int passkeys) {
        int[] starts = new int[pieces.size() + 1];
        for (int i = 0; i < pieces.size(); i++) {
            starts[i + 1] = starts[i] + pieces.get(i).length;
        }
        int end = starts[pieces.size()];
        int[] ids = new int[settings.padded(end)];
        for (int i = 0; i < pieces.size(); i++) {
            System.arraycopy(pieces.get(i), 0, ids, starts[i], pieces.get(i).length);
        }
        Arrays.fill(ids, end, ids.length, ids[end - 1]);

        int firstQuestion = 3 * passkeys + 1;
        List<Passkey> places = new ArrayList<>();
        for (int i = 0; i < passkeys; i++) {
            int words = 3 * i + 2;
            int answer = firstQuestion + 2 * i + 1;
            places.add(new Passkey(starts[words], starts[words + 1], starts[answer], starts[answer + 1]));
        }
        int[] labels = switch (settings.labels()) {
            case ANSWER ->
                places.stream()
                        .flatMapToInt(place -> IntStream.range(place.answerFrom() - 1, place.answerTo() - 1))
                        .toArray();
            case TAIL -> IntStream.range(starts[firstQuestion], end).toArray();
        };
        return new PasskeySequence(new TrainingSequence(ids, labels), places);
    }

    private int count(String text) {
        return encoder.encode(text, false).length;
    }
}
