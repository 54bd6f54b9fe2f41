package org.duoattention.core.prefill;

import java.util.ArrayDeque;
import java.util.Optional;

/**
 * The order in which sessions get the stream. Pure: no clock, no threads; not thread-safe.
 *
 * <p>Work comes in rounds. A round serves the decode steps that wait when the previous prefill chunk has ended, then one
 * prefill chunk. So a decode step waits for one chunk at most (and for the decode steps before it), and a long prefill
 * still moves on however many sessions decode. Several prefills take turns, one chunk each.
 *
 * @param <W> a unit of work
 */
public final class WorkQueue<W> {
    private final ArrayDeque<W> decode = new ArrayDeque<>();
    private final ArrayDeque<W> prefill = new ArrayDeque<>();
    private boolean roundBegins = true;
    private int decodeLeft;

    /** Adds a decode step. */
    public void addDecode(W work) {
        decode.add(work);
    }

    /** Adds one chunk of a prefill; a session adds its next chunk when this one has run. */
    public void addPrefill(W work) {
        prefill.add(work);
    }

    /** Takes the next unit of work, if there is any; the one taken before has run by now. */
    public Optional<W> next() {
        if (roundBegins) {
            decodeLeft = decode.size();
            roundBegins = false;
        }
        if (!decode.isEmpty() && (decodeLeft > 0 || prefill.isEmpty())) {
            decodeLeft = Math.max(0, decodeLeft - 1);
            return Optional.of(decode.remove());
        }
        roundBegins = true;
        return Optional.ofNullable(prefill.poll());
    }

    /** Whether nothing waits. */
    public boolean isEmpty() {
        return decode.isEmpty() && prefill.isEmpty();
    }
}
