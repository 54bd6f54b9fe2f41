package org.duoattention.core.session;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.BitSet;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.duoattention.core.DuoException;
import org.duoattention.core.sample.Sampler;
import org.duoattention.core.tokenizer.StopStrings;
import org.duoattention.core.tokenizer.TokenStreamDecoder;
import org.duoattention.core.tokenizer.Tokenizer;
import org.jspecify.annotations.Nullable;

/**
 * A generation in progress: events that are computed as they are asked for. The last one is {@link
 * SessionEvent.Finished}. Abandoning it half-way is fine: the tokens so far stay in the session.
 *
 * <p>Iterated once, by one thread at a time.
 */
public final class Generation implements Iterable<SessionEvent>, Iterator<SessionEvent> {
    private final Session session;
    private final GenerationRequest request;
    private final Sampler sampler;
    private final BitSet seen = new BitSet();
    private final @Nullable TokenStreamDecoder decoder;
    private final StopStrings stops;
    private final ArrayDeque<SessionEvent> ready = new ArrayDeque<>();
    private int newTokens;
    private int decodeSteps;
    private Duration decodeTime = Duration.ZERO;
    private boolean finished;

    Generation(Session session, GenerationRequest request, Optional<Tokenizer> tokenizer, int[] history) {
        this.session = session;
        this.request = request;
        this.sampler = new Sampler(request.sampling());
        this.decoder = tokenizer.map(t -> t.stream(true)).orElse(null);
        this.stops = new StopStrings(request.stopStrings());
        if (decoder == null && !request.stopStrings().isEmpty()) {
            throw new DuoException("Stop strings need a tokenizer, and the model " + session.modelName()
                    + " has none; leave them out or add tokenizer.json to the checkpoint");
        }
        for (int id : history) {
            seen.set(id);
        }
    }

    @Override
    public Iterator<SessionEvent> iterator() {
        return this;
    }

    /** The events as a sequential stream. */
    public Stream<SessionEvent> stream() {
        return StreamSupport.stream(spliterator(), false);
    }

    /** Runs to the end and returns the text of the answer; empty for a model without a tokenizer. */
    public String text() {
        StringBuilder text = new StringBuilder();
        for (SessionEvent event : this) {
            if (event instanceof SessionEvent.Text piece) {
                text.append(piece.text());
            }
        }
        return text.toString();
    }

    @Override
    public boolean hasNext() {
        while (ready.isEmpty() && !finished) {
            step();
        }
        return !ready.isEmpty();
    }

    @Override
    public SessionEvent next() {
        if (!hasNext()) {
            throw new NoSuchElementException("the generation has finished");
        }
        return ready.remove();
    }

    private void step() {
        if (session.takeCancellation()) {
            finish(FinishReason.CANCELLED);
            return;
        }
        session.step(this, this::chooseToken);
    }

    private void chooseToken() {
        if (newTokens == request.maxNewTokens()) {
            finish(FinishReason.LENGTH);
            return;
        }
        long start = System.nanoTime();
        int fed = session.feedPending(sampler);
        if (fed > 0) {
            decodeSteps += fed;
            decodeTime = decodeTime.plusNanos(System.nanoTime() - start);
        }
        if (session.isFull()) {
            finish(FinishReason.CONTEXT_FULL);
            return;
        }
        int id = session.choose(sampler, seen);
        seen.set(id);
        newTokens++;
        session.accept(id);
        ready.add(new SessionEvent.Token(id));
        if (request.stopAtEndTokens() && session.isEndToken(id)) {
            finish(FinishReason.END_TOKEN);
            return;
        }
        if (decoder != null) {
            emit(stops.push(decoder.push(id)));
            if (stops.stop().isPresent()) {
                finish(FinishReason.STOP_STRING);
            }
        }
    }

    private void finish(FinishReason reason) {
        if (decoder != null && stops.stop().isEmpty()) {
            emit(stops.push(decoder.flush()));
            emit(stops.flush());
        }
        finished = true;
        ready.add(new SessionEvent.Finished(reason, new Usage(newTokens, decodeSteps, decodeTime)));
    }

    private void emit(String text) {
        if (!text.isEmpty()) {
            ready.add(new SessionEvent.Text(text));
        }
    }
}
