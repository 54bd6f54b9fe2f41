package org.duoattention.identify.score;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.head.HeadMask;
import org.duoattention.core.session.Duo;
import org.duoattention.core.session.Model;
import org.duoattention.core.session.SessionBuilder;
import org.duoattention.identify.constructed.ConstructedModel;
import org.duoattention.identify.data.LabelRule;
import org.duoattention.identify.data.MultiPasskeyData;
import org.duoattention.identify.data.MultiPasskeySettings;
import org.duoattention.identify.distill.BlendRule;
import org.duoattention.identify.distill.StepSettings;
import org.duoattention.identify.task.KeptHeads;
import org.duoattention.identify.task.PasskeyEvaluation;
import org.duoattention.identify.task.PasskeyTask;
import org.duoattention.identify.text.HaystackText;
import org.duoattention.identify.train.LearningRateSchedule;
import org.duoattention.identify.train.TrainingSettings;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Heads that pay attention to passkeys and are not needed: optimisation is not taken in by them, profiling is. */
class DecoyHeadsTest {
    private static final int CONTEXT = 400;

    /** Three of twelve heads. */
    private static final double TRUE_FRACTION = 0.25;

    @TempDir
    private Path folder;

    @ParameterizedTest
    @ValueSource(longs = {0, 1, 2, 3, 4})
    void optimisationKeepsTheTrueHeadsAndProfilingTheDecoys(long seed) {
        ConstructedModel constructed =
                new ConstructedModel(new ConstructedModel.Spec(10_000, seed, ConstructedModel.MAX_DECOYS));
        constructed.writeTo(folder.resolve("demo"));
        try (Model model = Duo.create()
                .model(folder.resolve("demo"))
                .require(Capability.GRADIENTS)
                .open()) {
            ScoringContext context = context(model, seed);
            List<HeadMask> masks = Stream.of(optimization(), new AttentionProfiling(2), new RandomScorer(seed))
                    .map(scorer -> KeptHeads.of(scorer.score(context, (done, total) -> {}), TRUE_FRACTION))
                    .toList();
            assertThat(masks.get(0)).as("optimization").isEqualTo(constructed.trueHeads());
            assertThat(masks.get(1)).as("profiling").isEqualTo(constructed.decoys());
            assertThat(masks.get(2)).as("random").isNotEqualTo(constructed.trueHeads());
            assertThat(accuracies(model, masks, seed)).containsExactly(1.0, 0.0, 0.0);
        }
    }

    private static OptimizationScorer optimization() {
        return new OptimizationScorer(new TrainingSettings(
                new StepSettings(
                        ConstructedModel.SINK_SIZE,
                        ConstructedModel.RECENT_SIZE,
                        BlendRule.UPSTREAM,
                        0.2,
                        StepSettings.DEFAULT_BLOCK),
                LearningRateSchedule.of(30),
                0.05));
    }

    private static ScoringContext context(Model model, long seed) {
        MultiPasskeyData data = new MultiPasskeyData(
                new MultiPasskeySettings(4, 6, 320, CONTEXT, 3, 0.05, 0.95, 1000, LabelRule.ANSWER, 16, seed),
                HaystackText.generated(seed),
                model.tokenizer().orElseThrow()::encode,
                model.config().contextLimit(),
                model.shape().vocabSize());
        return ScoringContext.of(model, data, ConstructedModel.SINK_SIZE, ConstructedModel.RECENT_SIZE);
    }

    private static List<Double> accuracies(Model model, List<HeadMask> masks, long seed) {
        PasskeyEvaluation evaluation = new PasskeyEvaluation(
                new PasskeyTask(HaystackText.generated(seed), model.tokenizer().orElseThrow()::encode),
                model.device().capabilities(),
                new PasskeyEvaluation.Settings(CONTEXT, 2, 6, 6, seed));
        Map<Integer, SessionBuilder> sessions = new LinkedHashMap<>();
        for (int i = 0; i < masks.size(); i++) {
            sessions.put(
                    i,
                    model.session()
                            .policy("duo")
                            .heads(masks.get(i))
                            .sinks(ConstructedModel.SINK_SIZE)
                            .recent(ConstructedModel.RECENT_SIZE)
                            .chunk(PasskeyEvaluation.chunk(CONTEXT)));
        }
        return evaluation.run(sessions, tokens -> {}).values().stream()
                .map(PasskeyEvaluation.Result::accuracy)
                .toList();
    }
}
