package org.duoattention.identify.score;

import java.util.LinkedHashMap;
import java.util.Map;
import org.duoattention.core.head.HeadPattern;
import org.duoattention.core.session.CancelledException;
import org.duoattention.identify.distill.StepSettings;
import org.duoattention.identify.train.GateTraining;
import org.duoattention.identify.train.TrainingOutcome;
import org.duoattention.identify.train.TrainingSettings;

/**
 * Scores heads by their gates after an optimisation ({@link GateTraining}). The device needs {@link
 * org.duoattention.api.backend.Capability#GRADIENTS} and {@link org.duoattention.api.backend.Capability#ROLLBACK}.
 */
public final class OptimizationScorer implements HeadScorer {
    private final TrainingSettings settings;

    /** With these settings but the sink and recent sizes, which are the context's. */
    public OptimizationScorer(TrainingSettings settings) {
        this.settings = settings;
    }

    @Override
    public String name() {
        return "optimization";
    }

    @Override
    public HeadPattern score(ScoringContext context, ScoringProgress progress) {
        StepSettings step = settings.step();
        TrainingSettings own = new TrainingSettings(
                new StepSettings(context.sinks(), context.recent(), step.blend(), step.regularisation(), step.block()),
                settings.schedule(),
                settings.learningRate());
        long steps = settings.schedule().steps();
        long[] done = {0, 0};
        try {
            TrainingOutcome outcome = new GateTraining(context.model(), context.data(), own).run(at -> {
                done[0] = at.step();
                done[1] += at.tokens();
                progress.at(at.step(), steps);
            });
            Map<String, Object> more = new LinkedHashMap<>();
            more.put("num_steps", steps);
            more.put("lr", own.learningRate());
            more.put("reg_weight", step.regularisation());
            more.put("blend", step.blend().label());
            return context.pattern(this, outcome.gates(), more);
        } catch (InterruptedException e) {
            throw new CancelledException(
                    done[1], done[1] + (steps - done[0]) * context.data().maxTokens());
        }
    }
}
