package org.duoattention.examples.cli;

/** What the process ends with. */
final class ExitCode {
    static final int OK = 0;
    /** A bug of ours. */
    static final int BUG = 1;
    /** Something that the user can mend. */
    static final int USER_ERROR = 2;
    /** Ended by Ctrl-C, as shells report it: 128 + SIGINT. */
    static final int INTERRUPTED = 130;

    private ExitCode() {}
}
