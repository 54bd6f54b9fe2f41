package org.duoattention.identify.data;

/** Sequences to identify heads on. */
public interface TrainingData {
    /** Tokens of the longest sequence that {@link #sequence} gives. */
    int maxTokens();

    /**
     * The sequence of a step: a pure function of the step and of what the data was made with, so that a run that resumes
     * sees what an uninterrupted one would.
     *
     * @param step 0 is the first
     */
    TrainingSequence sequence(long step);
}
