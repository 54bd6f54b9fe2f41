package org.duoattention.examples.cli;

/** Thrown when the user ended something that was to be completed. */
final class Interruption extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** What was interrupted, and what became of it. */
    Interruption(String message) {
        super(message);
    }

    Interruption(String message, InterruptedException cause) {
        super(message, cause);
    }
}
