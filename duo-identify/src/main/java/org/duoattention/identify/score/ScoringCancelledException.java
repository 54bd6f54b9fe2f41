package org.duoattention.identify.score;

/** Thrown by a scorer whose thread was interrupted. The interrupt status is cleared. */
public final class ScoringCancelledException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    ScoringCancelledException(String message) {
        super(message);
    }
}
