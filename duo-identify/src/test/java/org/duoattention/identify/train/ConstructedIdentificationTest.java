package org.duoattention.identify.train;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.Map;
import org.duoattention.api.backend.Capability;
import org.duoattention.core.head.HeadSelection;
import org.duoattention.core.session.Duo;
import org.duoattention.core.session.Model;
import org.duoattention.identify.constructed.ConstructedModel;
import org.duoattention.identify.data.LabelRule;
import org.duoattention.identify.data.MultiPasskeyData;
import org.duoattention.identify.data.MultiPasskeySettings;
import org.duoattention.identify.distill.BlendRule;
import org.duoattention.identify.distill.FrozenModel;
import org.duoattention.identify.distill.StepSettings;
import org.duoattention.identify.text.HaystackText;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The retrieval heads of the checkpoint that is written by rule are known; the optimisation finds these and no others. */
class ConstructedIdentificationTest {
    private static final int SEEDS = 5;

    @TempDir
    private Path folder;

    @Test
    void theTrueHeadsAreFoundWithEverySeed() throws InterruptedException {
        ConstructedModel constructed = new ConstructedModel(new ConstructedModel.Spec(1_000_000, 3));
        constructed.writeTo(folder.resolve("demo"));
        TrainingSettings settings = new TrainingSettings(
                new StepSettings(16, 64, BlendRule.UPSTREAM, 0.2, 512), LearningRateSchedule.of(30), 0.05);
        try (Model model = Duo.create()
                .model(folder.resolve("demo"))
                .require(Capability.GRADIENTS)
                .open()) {
            for (int seed = 0; seed < SEEDS; seed++) {
                MultiPasskeyData data = new MultiPasskeyData(
                        new MultiPasskeySettings(4, 6, 320, 512, 50, 0.05, 0.95, 1000, LabelRule.ANSWER, 16, seed),
                        HaystackText.generated(seed),
                        model.tokenizer().orElseThrow()::encode,
                        model.config().contextLimit(),
                        model.shape().vocabSize());
                TrainingOutcome outcome = new GateTraining(FrozenModel.of(model), data, settings).run(progress -> {});

                assertThat(new HeadSelection.ByThreshold(0.5).select(outcome.pattern(settings, Map.of())))
                        .as("seed %d", seed)
                        .isEqualTo(constructed.trueHeads());
            }
        }
    }
}
