package org.duoattention.identify.score;

import org.duoattention.core.head.HeadPattern;

/**
 * Says how much each KV head of a model needs its full cache. Scores of one scorer compare heads with each other; those
 * of different scorers have different scales, and only the order of the heads counts.
 *
 * <p>Implementations keep no state between calls.
 */
public interface HeadScorer {
    /** Short name, for tables and file names: lower-case letters, digits and hyphens. */
    String name();

    /**
     * Scores every head.
     *
     * @return a score of 0 to 1 per (layer, KV head), with the context's sink and recent sizes
     * @throws org.duoattention.core.DuoException when the model or the device cannot be scored
     * @throws org.duoattention.core.session.CancelledException when the thread was interrupted
     */
    HeadPattern score(ScoringContext context, ScoringProgress progress);
}
