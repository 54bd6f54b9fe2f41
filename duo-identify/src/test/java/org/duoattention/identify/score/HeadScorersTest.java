package org.duoattention.identify.score;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.List;
import org.duoattention.api.head.HeadMask;
import org.duoattention.core.head.HeadPattern;
import org.duoattention.core.head.HeadSelection;
import org.duoattention.core.session.CancelledException;
import org.duoattention.core.session.Duo;
import org.duoattention.core.session.Model;
import org.duoattention.identify.constructed.ConstructedModel;
import org.duoattention.identify.data.LabelRule;
import org.duoattention.identify.data.MultiPasskeyData;
import org.duoattention.identify.data.MultiPasskeySettings;
import org.duoattention.identify.text.HaystackText;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** On a checkpoint that is written by rule, whose retrieval heads are known. */
class HeadScorersTest {
    @TempDir
    Path folder;

    static List<HeadScorer> scorers() {
        return List.of(new AttentionProfiling(2), new OutputChange(2));
    }

    private static ScoringContext context(Model model, long seed) {
        MultiPasskeySettings settings =
                new MultiPasskeySettings(4, 6, 600, 700, 3, 0.1, 0.5, 100, LabelRule.ANSWER, 16, seed);
        MultiPasskeyData data = new MultiPasskeyData(
                settings,
                HaystackText.generated(seed),
                model.tokenizer().orElseThrow()::encode,
                model.config().contextLimit(),
                model.shape().vocabSize());
        return ScoringContext.of(model, data, ConstructedModel.SINK_SIZE, ConstructedModel.RECENT_SIZE);
    }

    @ParameterizedTest
    @MethodSource("scorers")
    void theTrueHeadsComeFirst(HeadScorer scorer) {
        for (long seed = 0; seed < 2; seed++) {
            ConstructedModel constructed = new ConstructedModel(new ConstructedModel.Spec(10_000, seed));
            Path directory = folder.resolve("demo" + seed);
            constructed.writeTo(directory);
            try (Model model = Duo.create().model(directory).open()) {
                long before = model.device().allocatedBytes();
                long[] last = {0, 0};
                HeadPattern pattern = scorer.score(context(model, seed), (done, total) -> {
                    assertThat(done).isGreaterThanOrEqualTo(last[0]).isLessThanOrEqualTo(total);
                    last[0] = done;
                    last[1] = total;
                });
                HeadMask best = new HeadSelection.BySparsity(0.75).select(pattern);
                assertThat(best).as("seed %d", seed).isEqualTo(constructed.trueHeads());
                // Each of the three finds two of six words, and while it does it looks at nothing else.
                for (int layer = 0; layer < pattern.layers(); layer++) {
                    for (int head = 0; head < pattern.kvHeads(); head++) {
                        boolean finds = constructed.trueHeads().retrieval(layer).stream()
                                .boxed()
                                .toList()
                                .contains(head);
                        assertThat(pattern.score(layer, head)).isCloseTo(finds ? 1 / 3.0 : 0, within(0.05));
                    }
                }
                assertThat(last[0]).isEqualTo(last[1]).isPositive();
                assertThat(model.device().allocatedBytes()).isEqualTo(before);
                assertThat(pattern.sinkSize()).isEqualTo(ConstructedModel.SINK_SIZE);
                assertThat(pattern.recentSize()).isEqualTo(ConstructedModel.RECENT_SIZE);
                assertThat(pattern.settings()).containsEntry("method", scorer.name());
            }
        }
    }

    @ParameterizedTest
    @MethodSource("scorers")
    void anInterruptedThreadStops(HeadScorer scorer) {
        ConstructedModel constructed = new ConstructedModel(new ConstructedModel.Spec(10_000, 0));
        constructed.writeTo(folder.resolve("demo"));
        try (Model model = Duo.create().model(folder.resolve("demo")).open()) {
            long before = model.device().allocatedBytes();
            ScoringContext context = context(model, 0);
            assertThatThrownBy(() -> scorer.score(
                            context, (done, total) -> Thread.currentThread().interrupt()))
                    .isInstanceOf(CancelledException.class);
            assertThat(Thread.interrupted()).isFalse();
            assertThat(model.device().allocatedBytes()).isEqualTo(before);
        }
    }

    @Test
    void randomScoresDependOnTheSeedOnly() {
        ConstructedModel constructed = new ConstructedModel(new ConstructedModel.Spec(10_000, 0));
        constructed.writeTo(folder.resolve("demo"));
        try (Model model = Duo.create().model(folder.resolve("demo")).open()) {
            ScoringContext context = context(model, 0);
            HeadPattern one = new RandomScorer(1).score(context, (done, total) -> {});
            HeadPattern again = new RandomScorer(1).score(context, (done, total) -> {});
            HeadPattern other = new RandomScorer(2).score(context, (done, total) -> {});
            assertThat(one.layers()).isEqualTo(3);
            assertThat(one.kvHeads()).isEqualTo(4);
            assertThat(again.score(2, 3)).isEqualTo(one.score(2, 3));
            assertThat(other.score(2, 3)).isNotEqualTo(one.score(2, 3));
        }
    }
}
