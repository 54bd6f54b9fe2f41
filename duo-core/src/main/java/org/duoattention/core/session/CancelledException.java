package org.duoattention.core.session;

/** Thrown by a prefill that was cancelled. The session stays usable: what was fed before the cancellation is kept. */
public final class CancelledException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final long fedTokens;

    CancelledException(long fedTokens, long tokens) {
        super("cancelled after " + fedTokens + " of " + tokens + " tokens");
        this.fedTokens = fedTokens;
    }

    /** Tokens of the prompt that were fed before the cancellation. */
    public long fedTokens() {
        return fedTokens;
    }
}
