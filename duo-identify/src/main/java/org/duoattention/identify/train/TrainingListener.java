package org.duoattention.identify.train;

/** Hears of a run while it goes on, on its thread. */
public interface TrainingListener {
    /**
     * Called once, before the first step.
     *
     * @param done steps that an earlier process has done
     * @param steps steps of the run
     */
    default void begun(int done, int steps) {}

    /** Called after every step. */
    void step(TrainingProgress progress);

    /** Called when the state was saved. */
    default void saved(int step) {}
}
