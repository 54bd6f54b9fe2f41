package org.duoattention.identify.train;

import org.duoattention.identify.distill.StepResult;

/**
 * A step that was done.
 *
 * @param step 1 is the first
 * @param steps steps of the run
 * @param result what it measured, with the gates before the update
 * @param rate learning rate of its update
 * @param above heads whose gate is above one half after the update
 * @param heads heads of the model
 * @param tokens length of the sequence
 * @param nanos time it took
 */
public record TrainingProgress(
        int step, int steps, StepResult result, double rate, int above, int heads, int tokens, long nanos) {}
