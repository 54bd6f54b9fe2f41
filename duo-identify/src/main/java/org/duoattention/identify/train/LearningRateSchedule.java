package org.duoattention.identify.train;

/**
 * How the learning rate rises and falls, as in the authors' code: linearly up over the first steps and down over the last
 * ones, never below a tenth.
 *
 * @param steps steps of the run; at least 1
 * @param ramp steps that either ramp takes; at least 1
 */
public record LearningRateSchedule(int steps, int ramp) {
    private static final double FLOOR = 0.1;
    /** The authors' ramp of 400 of 2,000 steps. */
    private static final int PAPER_SHARE = 5;

    /** Checks the range. */
    public LearningRateSchedule {
        if (steps < 1 || ramp < 1) {
            throw new IllegalArgumentException("steps and ramp are at least 1, not " + steps + " and " + ramp);
        }
    }

    /** The authors' proportions. */
    public static LearningRateSchedule of(int steps) {
        return new LearningRateSchedule(steps, Math.max(1, steps / PAPER_SHARE));
    }

    /**
     * The factor on the learning rate.
     *
     * @param step 0 is the first
     */
    public double factor(int step) {
        double up = Math.max((step + 1.0) / ramp, FLOOR);
        double down = Math.max(((double) steps - step) / ramp, FLOOR);
        return Math.min(1, Math.min(up, down));
    }
}
