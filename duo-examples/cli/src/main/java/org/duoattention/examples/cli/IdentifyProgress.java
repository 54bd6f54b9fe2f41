package org.duoattention.examples.cli;

import java.util.Locale;
import org.duoattention.identify.train.TrainingListener;
import org.duoattention.identify.train.TrainingProgress;

/** Shows how an optimisation goes on: a bar or lines for people, an event per step for programs. */
final class IdentifyProgress implements TrainingListener {
    private static final int LINES = 20;
    /** Weight of a new step in the running means, so that the display is calm. */
    private static final double FRESH = 0.1;

    private final Progress progress;
    private final JsonEvents events;
    private int saved;
    private long nanos;
    private long tokens;
    private int measured;
    private double loss = Double.NaN;

    IdentifyProgress(Progress progress, JsonEvents events) {
        this.progress = progress;
        this.events = events;
    }

    /** Steps that a later process need not repeat. */
    int saved() {
        return saved;
    }

    @Override
    public void begun(int done, int steps) {
        saved = done;
        progress.add(done);
        if (done > 0) {
            progress.line("identify: going on after step " + done + " of " + steps);
        }
        events.write(JsonEvents.event("begun").put("done", done).put("steps", steps));
    }

    @Override
    public void step(TrainingProgress step) {
        nanos += step.nanos();
        tokens += step.tokens();
        measured++;
        double distill = step.result().distill();
        loss = Double.isNaN(loss)
                ? step.result().loss()
                : (1 - FRESH) * loss + FRESH * step.result().loss();
        double perSecond = tokens / (nanos / 1e9);
        String state = String.format(
                Locale.ROOT,
                "loss %.4f, %d of %d heads above 0.5, %,.0f tokens/s",
                loss,
                step.above(),
                step.heads(),
                perSecond);
        progress.add(1);
        progress.message(state);
        if (step.step() * LINES / step.steps() > (step.step() - 1) * LINES / step.steps()) {
            long left = Math.round((step.steps() - step.step()) * (nanos / 1e9 / measured));
            progress.line(
                    "identify: step " + step.step() + " of " + step.steps() + ", " + state + ", " + left + " s left");
        }
        events.write(JsonEvents.event("step")
                .put("step", step.step())
                .put("steps", step.steps())
                .put("loss", step.result().loss())
                .put("distill", distill)
                .put("regularisation", step.result().regularisation())
                .put("learningRate", step.rate())
                .put("headsAboveHalf", step.above())
                .put("tokens", step.tokens())
                .put("seconds", step.nanos() / 1e9));
    }

    @Override
    public void saved(int step) {
        saved = step;
        events.write(JsonEvents.event("saved").put("step", step));
    }
}
