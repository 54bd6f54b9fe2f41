package org.duoattention.identify.score;

/** Told how far a scorer is. */
@FunctionalInterface
public interface ScoringProgress {
    /**
     * Called now and then on the scoring thread.
     *
     * @param done how much is done, never less than before
     * @param total what it is done of, in a unit of the scorer's own
     */
    void at(long done, long total);
}
