package org.duoattention.examples.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.Consumer;
import java.util.function.LongConsumer;
import org.duoattention.core.DuoException;
import org.duoattention.core.session.CancelledException;
import org.duoattention.core.session.Session;

/**
 * A prefill that is kept in a file now and then and when it is interrupted, so that it can go on in another process.
 *
 * @param file where to keep it
 * @param every after how many tokens at most it is written; 0: only at the end and when it is interrupted
 * @param kept called with the session's length after the file was written
 */
record KeptPrefill(Path file, int every, LongConsumer kept) {
    /** Refuses a file that cannot be written, before anything is computed. */
    static void check(Path file, String option) {
        if (Files.isDirectory(file)) {
            throw new DuoException(option + " " + file + " is a directory; give a file");
        }
        Path directory = file.toAbsolutePath().getParent();
        if (directory == null || !Files.isWritable(directory)) {
            throw new DuoException(option + " " + file + ": its directory does not exist or cannot be written to");
        }
    }

    /**
     * Feeds tokens. Between two writes lie whole chunks, because chunks are semantics for streaming heads.
     *
     * @param fed called after every chunk with the tokens of {@code ids} that are fed
     * @throws CancelledException as {@link Session#prefill}; what was fed is in the file then
     */
    void run(Session session, int[] ids, Consumer<Integer> fed) {
        int chunk = session.options().chunk();
        long part = every == 0 ? ids.length : (every + chunk - 1L) / chunk * chunk;
        try {
            for (int at = 0; at < ids.length; ) {
                int from = at;
                int to = (int) Math.min(ids.length, at + part);
                session.prefill(Arrays.copyOfRange(ids, from, to), done -> fed.accept(from + (int) done.done()));
                at = to;
                save(session, at == ids.length);
            }
        } catch (CancelledException e) {
            // The interruption has been heard; it would close the file under our hands.
            boolean interrupted = Thread.interrupted();
            if (session.length() > 0) {
                save(session, false);
            }
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
            throw e;
        }
    }

    private void save(Session session, boolean complete) {
        session.save(file, complete);
        kept.accept(session.length());
    }
}
