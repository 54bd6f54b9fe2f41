package org.duoattention.examples.cli;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.duoattention.core.DuoException;

/**
 * Where a command writes: results on {@code out}, everything else on {@code err}. Both are UTF-8 whatever the locale says,
 * so that JSON and text come out whole.
 *
 * @param in what the user types or pipes in
 * @param out results
 * @param err progress, figures beside the result, and errors
 * @param errIsTerminal whether {@code err} is watched by somebody: only then is a progress bar drawn
 */
record Console(InputStream in, PrintStream out, PrintStream err, boolean errIsTerminal) {
    /** The process's own streams. */
    static Console system() {
        return new Console(
                System.in,
                stream(FileDescriptor.out),
                stream(FileDescriptor.err),
                Terminals.isTerminal(Terminals.STANDARD_ERROR));
    }

    private static PrintStream stream(FileDescriptor descriptor) {
        return new PrintStream(new FileOutputStream(descriptor), false, StandardCharsets.UTF_8);
    }

    /** The same with results on {@code err}, for when standard output holds JSON alone. */
    Console withResultsOnErr() {
        return new Console(in, err, err, errIsTerminal);
    }

    /**
     * Flushes the results.
     *
     * @throws DuoException when they could not be written, for example to a full disk or a closed pipe
     */
    void flush() {
        if (out.checkError()) {
            throw new DuoException("cannot write to standard output; is the disk full, or the reader gone?");
        }
        err.flush();
    }
}
