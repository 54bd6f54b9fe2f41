package org.duoattention.examples.cli;

import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import org.duoattention.api.backend.DeviceMemoryException;
import org.duoattention.core.DuoException;
import org.duoattention.core.session.CancelledException;

/** Turns whatever ended a command into one sentence and an exit code. */
final class Failures {
    private Failures() {}

    /** Prints the sentence, with the stack trace below it if asked for, and returns the exit code. */
    static int report(Throwable failure, PrintStream err, boolean stackTrace) {
        Outcome outcome = outcome(failure);
        err.println("duo: " + outcome.sentence());
        if (stackTrace) {
            failure.printStackTrace(err);
        } else if (outcome.code() == ExitCode.BUG) {
            err.println("duo: this is a bug; run the command again with --stacktrace and report what it prints");
        }
        err.flush();
        return outcome.code();
    }

    private record Outcome(String sentence, int code) {}

    private static Outcome outcome(Throwable failure) {
        return switch (failure) {
            case DuoException e -> new Outcome(e.getMessage(), ExitCode.USER_ERROR);
            case CancelledException e -> new Outcome("interrupted; " + e.getMessage(), ExitCode.INTERRUPTED);
            case Interruption e -> new Outcome(String.valueOf(e.getMessage()), ExitCode.INTERRUPTED);
            case DeviceMemoryException e ->
                new Outcome(e.getMessage() + "; ask for a shorter context or a smaller kv type", ExitCode.USER_ERROR);
            case OutOfMemoryError e ->
                new Outcome(
                        "the Java heap of " + Runtime.getRuntime().maxMemory() + " bytes is too small for this ("
                                + e.getMessage() + "); raise it with DUO_OPTS=-Xmx4g or ask for less",
                        ExitCode.USER_ERROR);
            case UncheckedIOException e -> new Outcome(io(e), ExitCode.USER_ERROR);
            case IOException e -> new Outcome(io(e), ExitCode.USER_ERROR);
            default -> new Outcome("unexpected " + failure, ExitCode.BUG);
        };
    }

    private static String io(Exception e) {
        return "input or output failed: " + e.getMessage();
    }
}
