package org.duoattention.identify.train;

import org.duoattention.core.DuoException;
import org.duoattention.identify.distill.StepSettings;

/**
 * How gates are optimised.
 *
 * @param step what a step measures
 * @param schedule number of steps and how the learning rate goes
 * @param learningRate highest learning rate; positive
 */
public record TrainingSettings(StepSettings step, LearningRateSchedule schedule, double learningRate) {
    /** The authors' learning rate. */
    public static final double PAPER_LEARNING_RATE = 0.02;
    /** The authors' number of steps. */
    public static final int PAPER_STEPS = 2000;
    /** The authors' factor on the mean magnitude of gates. */
    public static final double PAPER_REGULARISATION = 0.05;

    /** Checks the range. */
    public TrainingSettings {
        if (!(learningRate > 0 && learningRate < Double.MAX_VALUE)) {
            throw new DuoException("the learning rate is " + learningRate + "; it must be a positive number");
        }
    }
}
