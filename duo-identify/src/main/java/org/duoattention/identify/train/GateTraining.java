package org.duoattention.identify.train;

import java.nio.file.Path;
import java.util.Optional;
import org.duoattention.core.DuoException;
import org.duoattention.identify.data.TrainingData;
import org.duoattention.identify.data.TrainingSequence;
import org.duoattention.identify.distill.FrozenModel;
import org.duoattention.identify.distill.GateStep;
import org.duoattention.identify.distill.NotFiniteException;
import org.duoattention.identify.distill.StepMemory;
import org.duoattention.identify.distill.StepResult;
import org.jspecify.annotations.Nullable;

/**
 * Finds the retrieval heads of a model by optimisation (DuoAttention, arXiv 2410.10819, section 2.2): a gate per KV head starts at
 * 1, is clamped to 0..1 before each step, and goes where the distance between teacher and student plus the mean of
 * the gates is least.
 *
 * <p>With equal settings and data, on the same device with the same number of threads, the gates are the same to the bit,
 * also when the run was interrupted or killed and resumed in between: a step depends on the state before it and on its own
 * number only.
 */
public final class GateTraining {
    private final FrozenModel model;
    private final TrainingData data;
    private final TrainingSettings settings;
    private final @Nullable StateFile file;
    private final int saveEvery;

    /** A run that keeps nothing on disk. */
    public GateTraining(FrozenModel model, TrainingData data, TrainingSettings settings) {
        this(model, data, settings, null, Integer.MAX_VALUE);
    }

    /**
     * A run that saves its state and goes on where the last process left it.
     *
     * @param directory where the state is kept; made when necessary
     * @param run what tells this run from others
     * @param saveEvery steps between two saves; at least 1
     */
    public GateTraining(
            FrozenModel model,
            TrainingData data,
            TrainingSettings settings,
            Path directory,
            RunDescription run,
            int saveEvery) {
        this(model, data, settings, new StateFile(directory, run, model.config().shape()), saveEvery);
    }

    private GateTraining(
            FrozenModel model, TrainingData data, TrainingSettings settings, @Nullable StateFile file, int saveEvery) {
        if (saveEvery < 1) {
            throw new IllegalArgumentException("saveEvery is at least 1, not " + saveEvery);
        }
        this.model = model;
        this.data = data;
        this.settings = settings;
        this.file = file;
        this.saveEvery = saveEvery;
    }

    /** What the run will keep on the device. */
    public StepMemory memory() {
        return new StepMemory(
                model.config().shape(), data.maxTokens(), settings.step().block());
    }

    /**
     * Refuses what {@link #run} would refuse before its first step.
     *
     * @throws DuoException when the device has not enough memory, or the state of another run is in the way
     */
    public void check() {
        memory().require(model.device());
        begin();
    }

    private TrainingState begin() {
        return (file == null ? Optional.<TrainingState>empty() : file.read())
                .orElseGet(() -> TrainingState.initial(model.config().shape()));
    }

    /**
     * Runs the steps that are left.
     *
     * @throws DuoException when the device has not enough memory, the state of another run is in the way, the state
     *     cannot be written, or a loss is not finite
     * @throws InterruptedException when the thread is interrupted; the state before the step in progress is saved then
     */
    public TrainingOutcome run(TrainingListener listener) throws InterruptedException {
        TrainingState state = begin();
        int steps = settings.schedule().steps();
        listener.begun(state.step(), steps);
        int saved = state.step();
        if (state.step() < steps) {
            try (GateStep step = new GateStep(model, settings.step(), data.maxTokens())) {
                while (state.step() < steps) {
                    state = advance(step, state, listener);
                    if (file != null && (state.step() % saveEvery == 0 || state.step() == steps)) {
                        file.write(state);
                        saved = state.step();
                        listener.saved(saved);
                    }
                }
            } catch (InterruptedException e) {
                if (file != null && saved < state.step()) {
                    file.write(state);
                    listener.saved(state.step());
                }
                throw e;
            }
        }
        return new TrainingOutcome(state.clamped(), state.distill(), state.regularisation());
    }

    private TrainingState advance(GateStep step, TrainingState state, TrainingListener listener)
            throws InterruptedException {
        long start = System.nanoTime();
        TrainingSequence sequence = data.sequence(state.step());
        StepResult result;
        try {
            result = step.run(sequence, state.clamped());
        } catch (NotFiniteException e) {
            throw new DuoException(
                    "Step " + (state.step() + 1) + ": " + e.getMessage()
                            + "; use weights of a wider type, or report the model",
                    e);
        }
        double rate = settings.learningRate() * settings.schedule().factor(state.step());
        TrainingState next = state.after(result.gradient(), rate, result.distill(), result.regularisation());
        int above = TrainingOutcome.above(next.gates());
        int heads = next.gates().length * next.gates()[0].length;
        listener.step(new TrainingProgress(
                next.step(),
                settings.schedule().steps(),
                result,
                rate,
                above,
                heads,
                sequence.ids().length,
                System.nanoTime() - start));
        return next;
    }
}
