package org.duoattention.identify.report;

import org.duoattention.core.head.HeadPattern;

/**
 * A pattern that takes part in a comparison.
 *
 * @param scorer what found it; patterns of one scorer, with different seeds, make one curve
 * @param name what tells it from others of the scorer, for example its seed or its directory
 * @param pattern the scores
 */
public record Candidate(String scorer, String name, HeadPattern pattern) {}
