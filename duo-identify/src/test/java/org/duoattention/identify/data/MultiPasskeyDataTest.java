package org.duoattention.identify.data;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.duoattention.core.DuoException;
import org.duoattention.identify.data.PasskeySequence.Passkey;
import org.duoattention.identify.task.TokenEncoder;
import org.duoattention.identify.text.HaystackText;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MultiPasskeyDataTest {
    private static final int BOS = 0;
    private static final int VOCABULARY = 100_000;

    /** Words with the space before them, punctuation and single white space are tokens; a BOS in front. */
    private static final Pattern TOKEN = Pattern.compile(" ?\\w+|[^\\w\\s]|\\s");

    private static final MultiPasskeySettings SMALL = small(7);

    private final Words words = new Words();

    /** A tokenizer that remembers its tokens, so that ids can be read. */
    private static final class Words implements TokenEncoder {
        private final List<String> known = new ArrayList<>(List.of("<bos>"));

        @Override
        public int[] encode(String text, boolean special) {
            List<Integer> ids = new ArrayList<>(special ? List.of(BOS) : List.of());
            Matcher matcher = TOKEN.matcher(text);
            while (matcher.find()) {
                if (!known.contains(matcher.group())) {
                    known.add(matcher.group());
                }
                ids.add(known.indexOf(matcher.group()));
            }
            return ids.stream().mapToInt(Integer::intValue).toArray();
        }

        String text(int[] ids, int from, int to) {
            return String.join(
                    "", Arrays.stream(ids, from, to).mapToObj(known::get).toList());
        }
    }

    private static MultiPasskeySettings small(long seed) {
        return new MultiPasskeySettings(4, 6, 300, 600, 4, 0.05, 0.95, 1000, LabelRule.ANSWER, 16, seed);
    }

    private MultiPasskeyData data(MultiPasskeySettings settings) {
        return new MultiPasskeyData(settings, HaystackText.generated(1), words, 10_000, VOCABULARY);
    }

    @Test
    void everyPasskeyIsHiddenAskedForAndAnswered() {
        for (long step = 0; step < 30; step++) {
            PasskeySequence made = data(SMALL).passkeys(step);
            int[] ids = made.sequence().ids();
            String text = words.text(ids, 1, ids.length);
            assertThat(ids[0]).isEqualTo(BOS);
            assertThat(ids.length % 16).isZero();
            assertThat(made.passkeys()).hasSize(4);
            List<Integer> expected = new ArrayList<>();
            List<String> ordinals = List.of("first", "second", "third", "fourth");
            int last = 0;
            for (int i = 0; i < 4; i++) {
                Passkey passkey = made.passkeys().get(i);
                String hidden = words.text(ids, passkey.from(), passkey.to());
                assertThat(hidden).matches("( [a-z]+){6}");
                assertThat(hidden.strip().split(" ")).doesNotHaveDuplicates();
                assertThat(words.text(ids, passkey.answerFrom(), passkey.answerTo()))
                        .isEqualTo(hidden);
                assertThat(text)
                        .containsOnlyOnce("The " + ordinals.get(i) + " passkey is:" + hidden + "\n")
                        .containsOnlyOnce(
                                "\nWhat is the " + ordinals.get(i) + " passkey? The passkey is:" + hidden + "\n");
                assertThat(words.text(ids, passkey.answerFrom() - 2, passkey.answerFrom()))
                        .isEqualTo(" is:");
                assertThat(passkey.from()).as("in order").isGreaterThan(last);
                last = passkey.from();
                IntStream.range(passkey.answerFrom() - 1, passkey.answerTo() - 1)
                        .forEach(expected::add);
            }
            assertThat(made.sequence().labels()).containsExactly(expected.toArray(Integer[]::new));
            assertThat(text).matches("(?s).*[a-z]\\n+");
        }
    }

    @Test
    void theTailIsLabelledWholeWhenAskedFor() {
        MultiPasskeySettings tail = new MultiPasskeySettings(2, 6, 300, 300, 1, 0, 1, 10, LabelRule.TAIL, 1, 7);
        TrainingSequence made = data(tail).sequence(3);
        int first = made.labels()[0];
        assertThat(made.labels())
                .containsExactly(IntStream.range(first, made.ids().length).toArray());
        assertThat(words.text(made.ids(), first, made.ids().length))
                .matches("What is the first passkey\\? The passkey is:( [a-z]+){6}\\n"
                        + "What is the second passkey\\? The passkey is:( [a-z]+){6}\\n");
    }

    @Test
    void lengthsAreSpreadEvenlyAndNearlyReached() {
        Set<Integer> reached = new TreeSet<>();
        for (long step = 0; step < 60; step++) {
            int length = data(SMALL).sequence(step).ids().length;
            assertThat(length).isLessThanOrEqualTo(608);
            // A sentence of the haystack has less than 40 tokens.
            reached.add(IntStream.of(300, 400, 500, 600)
                    .filter(wanted -> length <= wanted + 15 && length > wanted - 40)
                    .findFirst()
                    .orElseThrow());
        }
        assertThat(reached).containsExactly(300, 400, 500, 600);
        assertThat(data(SMALL).maxTokens()).isEqualTo(608);
    }

    @Test
    void aSequenceDependsOnSettingsAndStepOnly() {
        MultiPasskeyData data = data(SMALL);
        data.sequence(9);
        assertThat(data.sequence(5).ids()).isEqualTo(data(SMALL).sequence(5).ids());
        assertThat(data.sequence(5).ids()).isNotEqualTo(data.sequence(6).ids());
        assertThat(data.sequence(5).ids())
                .isNotEqualTo(data(small(8)).sequence(5).ids());
    }

    @Test
    void aPasskeyOfThirtyTwoWordsRepeatsSome() {
        MultiPasskeySettings paper = MultiPasskeySettings.forContext(10_000, 1);
        assertThat(paper)
                .isEqualTo(
                        new MultiPasskeySettings(10, 32, 2000, 10_000, 50, 0.05, 0.95, 1000, LabelRule.ANSWER, 16, 1));
        PasskeySequence made = data(paper).passkeys(0);
        Passkey passkey = made.passkeys().getFirst();
        assertThat(passkey.to() - passkey.from()).isEqualTo(32);
        assertThat(made.sequence().labels()).hasSize(320);
    }

    @Test
    void whatCannotBeDoneIsRefusedAtOnce(@TempDir Path directory) throws IOException {
        MultiPasskeySettings crowded = new MultiPasskeySettings(10, 6, 100, 600, 4, 0, 1, 10, LabelRule.ANSWER, 1, 7);
        assertThatThrownBy(() -> data(crowded))
                .isInstanceOf(DuoException.class)
                .hasMessageContainingAll("100 tokens", "10 passkeys of 6 words", "longer sequences");
        assertThatThrownBy(() -> new MultiPasskeyData(SMALL, HaystackText.generated(1), words, 512, VOCABULARY))
                .isInstanceOf(DuoException.class)
                .hasMessageContainingAll("608", "512", "context");
        HaystackText book = HaystackText.ofFile(
                Files.writeString(directory.resolve("book.txt"), "It was a dark night. ".repeat(20)));
        assertThatThrownBy(() -> new MultiPasskeyData(SMALL, book, words, 10_000, VOCABULARY))
                .isInstanceOf(DuoException.class)
                .hasMessageContainingAll("book.txt", "600", "longer text");
        assertThatThrownBy(() -> new MultiPasskeyData(SMALL, HaystackText.generated(1), words, 10_000, 20))
                .isInstanceOf(DuoException.class)
                .hasMessageContainingAll("20 ids", "tokenizer.json");
    }

    @Test
    void aTokenizerThatCannotSayPasskeysIsRefused() {
        TokenEncoder unknown = (text, special) -> words.encode(text.replaceAll("\\b(golf|hotel)\\b", "unk"), special);
        assertThatThrownBy(() -> new MultiPasskeyData(SMALL, HaystackText.generated(1), unknown, 10_000, VOCABULARY))
                .isInstanceOf(DuoException.class)
                .hasMessageContainingAll("'hotel'", "'golf'");
        // One token for the colon and the first word.
        TokenEncoder merging = (text, special) -> words.encode(text.replace(": kilo", "_kilo"), special);
        assertThatThrownBy(() -> {
                    MultiPasskeyData data =
                            new MultiPasskeyData(SMALL, HaystackText.generated(1), merging, 10_000, VOCABULARY);
                    for (long step = 0; step < 100; step++) {
                        data.sequence(step);
                    }
                })
                .isInstanceOf(DuoException.class)
                .hasMessageContainingAll("reach from", "passkey is:", "kilo");
    }
}
