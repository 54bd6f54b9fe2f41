package org.duoattention.identify.constructed;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
import org.duoattention.api.head.HeadMask;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.core.session.Duo;
import org.duoattention.core.session.GenerationRequest;
import org.duoattention.core.session.Model;
import org.duoattention.core.session.Session;
import org.duoattention.core.session.SessionBuilder;
import org.duoattention.core.tokenizer.Tokenizer;
import org.duoattention.identify.task.ExactMatch;
import org.duoattention.identify.task.PasskeyPrompt;
import org.duoattention.identify.task.PasskeySpec;
import org.duoattention.identify.task.PasskeyTask;
import org.duoattention.identify.text.HaystackText;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Runs the constructed checkpoint: which heads it needs, and that it needs all of them, is known beforehand. */
class ConstructedRetrievalTest {
    private static final int CHUNK = 512;

    /** Farther from the question than a chunk and the recent tokens: streaming heads cannot see the passkey. */
    private static final int REACH = CHUNK + ConstructedModel.RECENT_SIZE + 32;

    private static final int LEAD = ConstructedModel.SINK_SIZE + 8;

    @TempDir
    private static Path folder;

    private static HeadMask trueHeads;
    private static Model model;
    private static Tokenizer tokenizer;

    @BeforeAll
    static void open() {
        ConstructedModel constructed = new ConstructedModel(new ConstructedModel.Spec(1_000_000, 3));
        constructed.writeTo(folder.resolve("demo"));
        trueHeads = constructed.trueHeads();
        model = Duo.create().model(folder.resolve("demo")).open();
        tokenizer = model.tokenizer().orElseThrow();
    }

    @AfterAll
    static void close() {
        model.close();
    }

    @ParameterizedTest
    @CsvSource({"4096, 0, 1, 6", "4096, 0.3, 4, 6", "4096, 1, 10, 8", "32768, 0.5, 4, 6"})
    void fullAttentionFindsEveryWord(int context, double depth, int needles, int words) {
        PasskeyPrompt prompt = prompt(context, depth, needles, words);
        assertThat(answer(prompt, Optional.empty())).isEqualTo(" " + prompt.answer());
    }

    @ParameterizedTest
    @CsvSource({"4096, 0, 1, 6", "4096, 0.3, 4, 6", "4096, 1, 10, 8", "65536, 0.5, 4, 6"})
    void theTrueHeadsAreEnough(int context, double depth, int needles, int words) {
        PasskeyPrompt prompt = prompt(context, depth, needles, words);
        assertThat(answer(prompt, Optional.of(trueHeads))).isEqualTo(" " + prompt.answer());
    }

    @ParameterizedTest
    @CsvSource({"4096, 0, 1, 6", "4096, 0.3, 4, 6", "4096, 1, 10, 8"})
    void cachesOfEightBitsLoseNothing(int context, double depth, int needles, int words) {
        PasskeyPrompt prompt = prompt(context, depth, needles, words);
        BlockFormat int8 = new BlockFormat.Grouped(8, model.shape().headDim(), true, DType.F16);
        assertThat(answer(prompt.ids(), Optional.empty(), int8)).isEqualTo(" " + prompt.answer());
        assertThat(answer(prompt.ids(), Optional.of(trueHeads), int8)).isEqualTo(" " + prompt.answer());
    }

    @ParameterizedTest
    @CsvSource({"4096, 0, 1, 6", "4096, 0.3, 4, 6", "4096, 1, 10, 8", "65536, 0.5, 4, 6"})
    void streamingHeadsAloneSayThatTheyKnowNothing(int context, double depth, int needles, int words) {
        PasskeyPrompt prompt = prompt(context, depth, needles, words);
        String answer = answer(prompt, Optional.of(HeadMask.none(model.shape())));
        assertThat(answer).matches("( unknown)+");
        assertThat(ExactMatch.matches(prompt.answer(), answer)).isFalse();
    }

    @ParameterizedTest
    @CsvSource({"4096, 0.3, 4, 6", "16384, 0.5, 1, 6"})
    void eachTrueHeadIsNeededForItsOwnWords(int context, double depth, int needles, int words) {
        PasskeyPrompt prompt = prompt(context, depth, needles, words);
        List<String> right = List.of(prompt.answer().split(" "));
        List<List<Integer>> lost = new ArrayList<>();
        for (int layer = 0; layer < trueHeads.layers(); layer++) {
            for (int head : trueHeads.retrieval(layer).stream().toArray()) {
                List<String> said = List.of(answer(prompt, Optional.of(without(layer, head)))
                        .strip()
                        .split(" "));
                List<Integer> lostHere = IntStream.range(0, words)
                        .filter(i -> !said.get(i).equals(right.get(i)))
                        .boxed()
                        .toList();
                assertThat(lostHere).allMatch(i -> said.get(i).equals("unknown"));
                lost.add(lostHere);
            }
        }
        assertThat(lost).containsExactlyInAnyOrder(List.of(0, 1), List.of(2, 4), List.of(3, 5));
    }

    @Test
    void anyTextIsEncodedWithoutLoss() {
        for (String text : List.of(
                "The tenth passkey is: zulu zulu\nWhat is the tenth passkey? The passkey is:",
                "Naïve café — 漢字 \uD83D\uDE00\t x\r\n\n 12345: is; kilometres Theodore passkey is : ")) {
            assertThat(tokenizer.decode(tokenizer.encode(text, false), false)).isEqualTo(text);
        }
    }

    @Test
    void wordsMayRepeatAndTheAnswerEnds() {
        String filler = "It was a quiet evening. ".repeat(130);
        String text = "The third passkey is: golf echo golf echo golf golf\n" + filler
                + "\nThe first passkey is: golf golf golf golf golf\n" + filler
                + "\nWhat is the %s passkey? The passkey is:";
        assertThat(answer(tokenizer.encode(text.formatted("third"), true), Optional.of(trueHeads)))
                .isEqualTo(" golf echo golf echo golf golf");
        assertThat(answer(tokenizer.encode(text.formatted("first"), true), Optional.of(trueHeads)))
                .isEqualTo(" golf golf golf golf golf");
        assertThat(answer(tokenizer.encode(text.formatted("second"), true), Optional.of(trueHeads)))
                .startsWith(" unknown");
    }

    @Test
    void thePatternInTheCheckpointNamesTheTrueHeads() {
        SessionBuilder session = model.session()
                .policy("duo")
                .heads(
                        "pattern",
                        Map.of("directory", folder.resolve("demo/heads").toString(), "threshold", "0.5"))
                .maxContext(1024);
        assertThat(session.plan().options().heads()).isEqualTo(trueHeads);
    }

    private static HeadMask without(int layer, int head) {
        return HeadMask.of(
                trueHeads.kvHeads(),
                IntStream.range(0, trueHeads.layers())
                        .mapToObj(l -> HeadSet.of(trueHeads.retrieval(l).stream()
                                .filter(h -> l != layer || h != head)
                                .toArray()))
                        .toList());
    }

    private static PasskeyPrompt prompt(int context, double depth, int needles, int words) {
        PasskeyTask task = new PasskeyTask(HaystackText.generated(1), tokenizer::encode);
        return task.prompt(new PasskeySpec(context, depth, needles, words, LEAD, REACH, 5));
    }

    private static String answer(PasskeyPrompt prompt, Optional<HeadMask> heads) {
        return answer(prompt.ids(), heads);
    }

    private static String answer(int[] ids, Optional<HeadMask> heads) {
        return answer(ids, heads, BlockFormat.F16);
    }

    private static String answer(int[] ids, Optional<HeadMask> heads, BlockFormat kv) {
        SessionBuilder builder =
                model.session().maxContext(ids.length + 16).chunk(CHUNK).kv(kv);
        heads.ifPresent(mask -> builder.policy("duo")
                .heads(mask)
                .sinks(ConstructedModel.SINK_SIZE)
                .recent(ConstructedModel.RECENT_SIZE));
        try (Session session = builder.open()) {
            session.prefill(ids);
            return session.generate(GenerationRequest.greedy(ConstructedModel.MAX_WORDS + 1))
                    .text();
        }
    }
}
