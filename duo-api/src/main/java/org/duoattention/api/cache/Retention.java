package org.duoattention.api.cache;

import java.util.Optional;

/** What a slab keeps after each chunk or decode step. */
public sealed interface Retention {
    /** The scores that the retention needs from attention, if any. */
    default Optional<ScoreSpec> scores() {
        return Optional.empty();
    }

    /**
     * The most tokens that stay after an eviction, given the longest context.
     *
     * @param maxTokens longest context of the session
     */
    long retainedTokens(long maxTokens);

    /** Every token: a full cache. */
    record All() implements Retention {
        @Override
        public long retainedTokens(long maxTokens) {
            return maxTokens;
        }
    }

    /**
     * The first {@code sinks} and the last {@code recent} tokens: a streaming head.
     *
     * @param sinks first tokens kept; at least 0
     * @param recent last tokens kept; at least 1
     */
    record SinkAndRecent(int sinks, int recent) implements Retention {
        /** Checks the sizes. */
        public SinkAndRecent {
            if (sinks < 0 || recent < 1) {
                throw new IllegalArgumentException(
                        "sinks must be at least 0 and recent at least 1, not " + sinks + " and " + recent);
            }
        }

        @Override
        public long retainedTokens(long maxTokens) {
            return Math.min(maxTokens, (long) sinks + recent);
        }
    }

    /**
     * The best-scored tokens, besides sinks and recent ones.
     *
     * @param budget tokens kept in all, sinks and recent included
     * @param sinks first tokens that are always kept
     * @param recent last tokens that are always kept
     * @param score which attention scores rank the rest
     */
    record TopScored(int budget, int sinks, int recent, ScoreSpec score) implements Retention {
        /** Checks that the budget holds sinks and recent tokens. */
        public TopScored {
            if (sinks < 0 || recent < 0 || budget < 1 || (long) sinks + recent > budget) {
                throw new IllegalArgumentException("a budget of " + budget + " must be positive and hold " + sinks
                        + " sinks and " + recent + " recent tokens");
            }
        }

        @Override
        public Optional<ScoreSpec> scores() {
            return Optional.of(score);
        }

        @Override
        public long retainedTokens(long maxTokens) {
            return Math.min(maxTokens, budget);
        }
    }

    /**
     * Whatever a selector keeps.
     *
     * @param budget the most tokens kept
     * @param scores the scores that the selector wants to see, if any
     * @param selector the choice
     */
    record Custom(int budget, Optional<ScoreSpec> scores, SlotSelector selector) implements Retention {
        /** Checks the budget. */
        public Custom {
            if (budget < 1) {
                throw new IllegalArgumentException("a budget must be positive, not " + budget);
            }
        }

        @Override
        public long retainedTokens(long maxTokens) {
            return Math.min(maxTokens, budget);
        }
    }
}
