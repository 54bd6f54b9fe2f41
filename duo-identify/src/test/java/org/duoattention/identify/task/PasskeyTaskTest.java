package org.duoattention.identify.task;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import org.duoattention.core.DuoException;
import org.duoattention.identify.text.HaystackText;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class PasskeyTaskTest {
    private static final Pattern TOKEN = Pattern.compile(" ?\\w+|[^\\w\\s]+|\\s");
    private static final Pattern NEEDLE =
            Pattern.compile("^The (\\w+) passkey is: ([a-z]+(?: [a-z]+)*)$", Pattern.MULTILINE);
    private static final Pattern QUESTION = Pattern.compile("\nWhat is the (\\w+) passkey\\? The passkey is:$");

    private final PasskeyTask task = new PasskeyTask(HaystackText.generated(0), PasskeyTaskTest::encode);

    /** Words, punctuation and single white space are tokens; a BOS in front. */
    private static int[] encode(String text, boolean special) {
        int count = (int) TOKEN.matcher(text).results().count();
        return new int[count + (special ? 1 : 0)];
    }

    @ParameterizedTest
    @CsvSource({
        "256, 0, 1, 6",
        "256, 1, 4, 6",
        "512, 0.5, 4, 6",
        "512, 0.25, 10, 8",
        "2048, 0.75, 4, 4",
        "4096, 1, 10, 6",
        "100000, 0.5, 4, 6"
    })
    void thePromptHoldsItsAnswerAndFillsTheContext(int context, double depth, int needles, int words) {
        for (long seed = 0; seed < 20; seed++) {
            PasskeyPrompt prompt = task.prompt(new PasskeySpec(context, depth, needles, words, 16, 100, seed));
            assertThat(prompt.ids()).hasSize(encode(prompt.text(), true).length);
            assertThat(prompt.ids().length).isLessThanOrEqualTo(context).isGreaterThan(context - 64);
            List<MatchResult> found = new ArrayList<>();
            NEEDLE.matcher(prompt.text()).results().forEach(found::add);
            assertThat(found).hasSize(needles);
            MatchResult asked =
                    QUESTION.matcher(prompt.text()).results().findFirst().orElseThrow();
            MatchResult needle = found.stream()
                    .filter(match -> match.group(1).equals(asked.group(1)))
                    .findFirst()
                    .orElseThrow();
            assertThat(needle.group(2)).isEqualTo(prompt.answer());
            assertThat(prompt.answer().split(" ")).hasSize(words).doesNotHaveDuplicates();
            assertThat(prompt.answerTokens()).isEqualTo(words + 1);
            assertThat(prompt.repeats()).isZero();

            int before = encode(prompt.text().substring(0, needle.start()), true).length;
            int after = encode(prompt.text().substring(needle.end(), asked.start()), false).length;
            assertThat(prompt.needleToken()).isEqualTo(before);
            assertThat(before).as("tokens before the needle").isGreaterThanOrEqualTo(16);
            assertThat(after).as("tokens after the needle").isGreaterThanOrEqualTo(90);
        }
    }

    @Test
    void depthMovesTheNeedle() {
        int previous = -1;
        for (double depth : new double[] {0, 0.25, 0.5, 0.75, 1}) {
            int at = task.prompt(new PasskeySpec(4096, depth, 1, 6, 16, 64, 3)).needleToken();
            // From 16 tokens after the BOS to 64 before the question's 10, past a needle of 12.
            double wanted = 17 + depth * (4096 - 1 - 16 - 64 - 10 - 12);
            assertThat((double) at).isCloseTo(wanted, within(30.0));
            assertThat(at).isGreaterThan(previous);
            previous = at;
        }
    }

    @Test
    void equalSpecsGiveEqualPromptsAndSeedsDiffer() {
        PasskeySpec spec = new PasskeySpec(512, 0.5, 4, 6, 16, 64, 5);
        assertThat(task.prompt(spec).text()).isEqualTo(task.prompt(spec).text());
        assertThat(task.prompt(new PasskeySpec(512, 0.5, 4, 6, 16, 64, 6)).text())
                .isNotEqualTo(task.prompt(spec).text());
    }

    @Test
    void aDocumentHasAQuestionForEveryPasskey() {
        for (long seed = 0; seed < 20; seed++) {
            PasskeyDocument document = task.document(new PasskeySpec(512, 0.5, 10, 6, 16, 100, seed));
            assertThat(document.ids()).hasSize(encode(document.text(), true).length);
            assertThat(document.questions()).hasSize(10);
            List<MatchResult> needles =
                    NEEDLE.matcher(document.text()).results().toList();
            assertThat(needles).hasSize(10);
            for (int i = 0; i < 10; i++) {
                PasskeyDocument.Question question = document.questions().get(i);
                assertThat(question.answer()).isEqualTo(needles.get(i).group(2));
                assertThat(question.answerTokens()).isEqualTo(7);
                // What is the ... passkey ? The passkey is :
                assertThat(question.ids()).hasSize(10);
                int before = encode(document.text().substring(0, needles.get(i).start()), true).length;
                assertThat(question.needleToken()).isEqualTo(before);
                assertThat(document.ids().length + question.ids().length)
                        .isLessThanOrEqualTo(512)
                        .isGreaterThan(512 - 64);
            }
        }
    }

    @Test
    void whatDoesNotFitIsRefusedWithTheLengthThatWould() {
        PasskeySpec spec = new PasskeySpec(100, 0.5, 4, 6, 16, 64, 5);
        assertThatThrownBy(() -> task.prompt(spec))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("100 tokens is too short")
                .hasMessageContaining("at least");
        assertThatThrownBy(() -> new PasskeySpec(100, 1.5, 4, 6, 16, 64, 5)).hasMessageContaining("1.5");
        assertThatThrownBy(() -> new PasskeySpec(100, 0.5, 11, 6, 16, 64, 5)).hasMessageContaining("11");
        assertThatThrownBy(() -> new PasskeySpec(100, 0.5, 1, 27, 16, 64, 5)).hasMessageContaining("27");
        assertThatThrownBy(() -> new PasskeySpec(0, 0.5, 1, 6, 16, 64, 5)).hasMessageContaining("0");
    }
}
