package org.duoattention.core.session;

/**
 * Thrown by work on tokens that was cancelled. After a prefill the session stays usable: what was fed before the cancellation
 * is kept.
 */
public final class CancelledException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final long fedTokens;

    /**
     * Work that ended early.
     *
     * @param fedTokens tokens that were done
     * @param tokens tokens that were to be done
     */
    public CancelledException(long fedTokens, long tokens) {
        super("cancelled after " + fedTokens + " of " + tokens + " tokens");
        this.fedTokens = fedTokens;
    }

    /** Tokens that were fed before the cancellation. */
    public long fedTokens() {
        return fedTokens;
    }
}
