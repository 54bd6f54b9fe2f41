package org.duoattention.examples.cli;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.Consumer;
import java.util.function.LongConsumer;
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
    /**
     * Feeds tokens. Between two writes lie whole chunks, because chunks are semantics for streaming heads.
     *
     * @param fed called after every chunk with the tokens of {@code ids} that are fed
     * @return seconds that the feeding took, without the writing
     * @throws CancelledException as {@link Session#prefill}; what was fed is in the file then
     */
    double run(Session session, int[] ids, Consumer<Integer> fed) {
        int chunk = session.options().chunk();
        long part = every == 0 ? ids.length : (every + chunk - 1L) / chunk * chunk;
        long nanos = 0;
        try {
            for (int at = 0; at < ids.length; ) {
                int from = at;
                int to = (int) Math.min(ids.length, at + part);
                long start = System.nanoTime();
                session.prefill(Arrays.copyOfRange(ids, from, to), done -> fed.accept(from + (int) done.done()));
                nanos += System.nanoTime() - start;
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
        return nanos / 1e9;
    }

    private void save(Session session, boolean complete) {
        session.save(file, complete);
        kept.accept(session.length());
    }
}
