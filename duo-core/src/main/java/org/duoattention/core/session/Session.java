package org.duoattention.core.session;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.duoattention.api.backend.DeviceMemoryException;
import org.duoattention.core.DuoException;
import org.duoattention.core.cache.HybridCache;
import org.duoattention.core.cache.SlabReport;
import org.duoattention.core.prefill.ChunkPlan;
import org.duoattention.core.prefill.StreamScheduler.Kind;
import org.duoattention.core.sample.Sampler;
import org.jspecify.annotations.Nullable;

/**
 * A conversation with a model: a cache, the tokens that went into it, and the logits after the last one.
 *
 * <p>Prefill, generate, prefill again: the cache is kept across turns. One thread uses a session at a time (another
 * thread's call is an {@link IllegalStateException}), virtual or not; {@link #cancel} may be called from any thread.
 * Sessions of one model share its weights and its device, and take turns chunk by chunk.
 */
public final class Session implements AutoCloseable {
    /** The most tokens that a session can remember. */
    public static final int MAX_TOKENS = Integer.MAX_VALUE - 8;

    private final Model model;
    private final SessionPlan plan;
    private final HybridCache cache;
    private final LastLogits logits;
    private final ReentrantLock busy = new ReentrantLock();

    private int[] history = new int[64];
    private int tokens;
    private @Nullable Generation generation;
    private volatile boolean cancelled;
    private boolean broken;
    private boolean closeWhenDone;
    private boolean closed;

    Session(Model model, SessionPlan plan, HybridCache cache, LastLogits logits) {
        this.model = model;
        this.plan = plan;
        this.cache = cache;
        this.logits = logits;
    }

    /** The settings that the session runs with. */
    public SessionOptions options() {
        return plan.options();
    }

    /** Tokens so far, prompt and answers together. */
    public long length() {
        return tokens;
    }

    /** The tokens so far; a copy. */
    public int[] tokens() {
        return Arrays.copyOf(history, tokens);
    }

    /** Exact bytes per slab. */
    public List<SlabReport> memory() {
        return cache.report();
    }

    /** Exact bytes of the cache, scales and undo margins included. */
    public long kvBytes() {
        return cache.bytes();
    }

    /**
     * Feeds a text.
     *
     * @return tokens fed; the tokenizer's special tokens are added when the session is empty
     * @throws DuoException when the model has no tokenizer, or as {@link #prefill(int[])}
     */
    public int prefill(String text) {
        int[] ids = model.requireTokenizer().encode(text, tokens == 0);
        prefill(ids);
        return ids.length;
    }

    /** Feeds tokens; {@link #prefill(int[], Consumer)} without progress. */
    public void prefill(int[] ids) {
        prefill(ids, progress -> {});
    }

    /**
     * Feeds tokens chunk by chunk. Other sessions of the model run between the chunks.
     *
     * @param ids at least one token
     * @param progress called after every chunk, on the calling thread
     * @throws DuoException when there are no ids, an id is not in the vocabulary, the context would be exceeded, or other
     *     programs have taken the memory that the cache grows into; nothing is fed then
     * @throws CancelledException when {@link #cancel} was called or the thread was interrupted, within one chunk
     */
    public void prefill(int[] ids, Consumer<PrefillProgress> progress) {
        exclusively(() -> {
            check(ids);
            feedChunks(ids, progress, null);
            return 0;
        });
    }

    /**
     * Feeds tokens as {@link #prefill(int[], Consumer)} does and says how likely the model held each of them, through the
     * cache that this session has. Takes memory for a few rows of logits meanwhile.
     *
     * @return for every id but the first its natural log-probability after everything before it in the session: {@code
     *     ids.length - 1} values; the first id is fed and not scored
     * @throws DuoException as {@code prefill}
     * @throws CancelledException as {@code prefill}
     * @throws org.duoattention.api.backend.DeviceMemoryException when there is no memory for the logits; nothing is fed
     *     then
     */
    public double[] score(int[] ids, Consumer<PrefillProgress> progress) {
        return exclusively(() -> {
            check(ids);
            try (TokenScorer scorer = new TokenScorer(
                    model.device(),
                    ids,
                    model.shape().vocabSize(),
                    plan.options().chunk())) {
                feedChunks(ids, progress, scorer);
                return scorer.logProbabilities();
            }
        });
    }

    private void feedChunks(int[] ids, Consumer<PrefillProgress> progress, @Nullable TokenScorer scorer) {
        // For the whole prompt: a lack of memory shows before anything is fed, and not after some minutes.
        reserve(pending() + ids.length);
        generation = null;
        feedPending(LastLogits.ON_DEVICE);
        ChunkPlan chunks = new ChunkPlan(ids.length, plan.options().chunk());
        for (long i = 0; i < chunks.chunks(); i++) {
            int from = (int) chunks.start(i);
            if (takeCancellation()) {
                throw new CancelledException(from, ids.length);
            }
            int[] chunk = Arrays.copyOfRange(ids, from, from + chunks.size(i));
            feed(Kind.PREFILL, chunk, i == chunks.chunks() - 1 ? LastLogits.ALL : LastLogits.NONE, scorer);
            for (int id : chunk) {
                push(id);
            }
            progress.accept(new PrefillProgress(from + (long) chunk.length, ids.length));
        }
        logits.keep(tokens);
    }

    private void check(int[] ids) {
        if (ids.length == 0) {
            throw new DuoException("The prompt is empty; give at least one token");
        }
        int vocabulary = model.shape().vocabSize();
        for (int i = 0; i < ids.length; i++) {
            if (ids[i] < 0 || ids[i] >= vocabulary) {
                throw new DuoException("Token id " + ids[i] + " at index " + i + " is not in the vocabulary of "
                        + vocabulary + " tokens");
            }
        }
        long context = plan.options().maxContext();
        if (tokens + (long) ids.length > context) {
            throw new DuoException("A prompt of " + ids.length + " tokens after " + tokens
                    + " does not fit in the context of " + context
                    + "; open the session with a larger max-context or shorten the prompt");
        }
    }

    /**
     * Generates from where the session stands. The events are computed as they are asked for; a later prefill, rollback or
     * generate ends the generation.
     *
     * <p>A step throws {@link DuoException} when other programs have taken the memory that the cache grows into; it can be
     * tried again.
     *
     * @throws DuoException when nothing was fed yet, or the last token's logits are gone after a rollback
     */
    public Generation generate(GenerationRequest request) {
        return exclusively(() -> {
            requireLogitsOrPending();
            Generation started = new Generation(this, request, model.tokenizer(), tokens());
            generation = started;
            return started;
        });
    }

    private void requireLogitsOrPending() {
        if (tokens == 0) {
            throw new DuoException("Nothing was fed yet; prefill a prompt first");
        }
        if (!logits.arePresent() && pending() == 0) {
            throw new DuoException(
                    "The logits of the last token are not there, because tokens were taken back or a prefill"
                            + " was cancelled; prefill at least one token first");
        }
    }

    /**
     * Logits after the last token, one per token id; a copy.
     *
     * @throws DuoException when nothing was fed yet, they are gone after a rollback, or the last chosen token cannot be fed
     *     because other programs have taken the memory that the cache grows into
     */
    public float[] logits() {
        return exclusively(() -> {
            requireLogitsOrPending();
            feedPending(LastLogits.ALL);
            return logits.all(model.scheduler()).clone();
        });
    }

    /**
     * Takes back the last tokens, exactly: the session is as if they had never been fed. Logits come back when the session
     * then stands where its last prefill ended; otherwise something must be prefilled before the next generation.
     *
     * @param count tokens to take back, 0 to {@link #length}
     * @throws DuoException when that cannot be done exactly because streaming heads have evicted what it would bring
     *     back, or the backend has no rollback; nothing has changed then
     */
    public void rollback(long count) {
        exclusively(() -> {
            if (count < 0 || count > tokens) {
                throw new DuoException("Cannot take back " + count + " of " + tokens + " tokens");
            }
            int length = (int) (tokens - count);
            if (count > 0) {
                if (length < cache.length()) {
                    model.requireRollback();
                    truncate(length);
                    logits.truncated(length);
                }
                generation = null;
                tokens = length;
            }
            return 0;
        });
    }

    private void truncate(int length) {
        try {
            model.scheduler().run(Kind.DECODE, stream -> {
                cache.truncate(stream, length);
                return 0;
            });
        } catch (DuoException e) {
            throw e;
        } catch (RuntimeException | Error e) {
            // Some layers may be shorter already.
            broken = true;
            throw e;
        }
    }

    /**
     * Writes the cache and the tokens in it to a file, for {@link #restore} in another process. A file of that name is
     * replaced once the new one is complete; saving takes as many bytes on the disk as tokens held take in memory, and no
     * memory.
     *
     * @param file where to write
     * @param complete what {@link SavedSession#complete} then says
     * @throws DuoException when the file cannot be written, or the backend does not save slabs
     */
    public void save(Path file, boolean complete) {
        exclusively(() -> {
            model.requireSnapshots();
            long[] sizes = model.scheduler().run(Kind.DECODE, cache::saveBytes);
            int held = (int) cache.length();
            SessionFile saved = new SessionFile(
                    model.settings(plan.options()),
                    complete,
                    Arrays.copyOf(history, held),
                    held == tokens && logits.arePresent() ? logits.all(model.scheduler()) : null,
                    sizes);
            saved.write(
                    file,
                    targets -> model.scheduler().run(Kind.DECODE, stream -> {
                        cache.save(stream, targets);
                        stream.synchronize();
                        return 0;
                    }));
            return 0;
        });
    }

    /**
     * Takes over what {@link #save} wrote of a session of the same model with the same settings, on the same backend. The
     * session then stands where that one stood.
     *
     * @throws IllegalStateException when tokens were fed already
     * @throws DuoException when the file is damaged or of a session with other settings, or other programs have taken the
     *     memory that the cache grows into; the session is unusable after damage that was found late
     */
    public void restore(SavedSession saved) {
        exclusively(() -> {
            if (tokens > 0) {
                throw new IllegalStateException("the session is not new; restore into one that nothing was fed to");
            }
            model.requireSnapshots();
            saved.requireSettings(model.settings(plan.options()));
            saved.requireContent(model.shape().vocabSize(), cache.report().size());
            reserve(saved.length());
            saved.slabs(sources -> {
                broken = true;
                try {
                    model.scheduler().run(Kind.DECODE, stream -> {
                        cache.restore(stream, sources);
                        stream.synchronize();
                        return 0;
                    });
                } catch (IllegalArgumentException e) {
                    throw new DuoException("The saved session cannot be restored: " + e.getMessage(), e);
                }
            });
            if (cache.length() != saved.length()) {
                throw new DuoException("The saved session cannot be restored: it holds " + saved.length()
                        + " tokens and a cache of " + cache.length());
            }
            broken = false;
            history = Arrays.copyOf(saved.tokens(), Math.max(history.length, saved.length()));
            tokens = saved.length();
            logits.restore(saved.logits(), tokens);
            return 0;
        });
    }

    /**
     * Stops the prefill or generation that runs in another thread, within one chunk or token. Without one, the next is
     * stopped before it begins.
     */
    public void cancel() {
        cancelled = true;
    }

    /** Closes the session and releases its cache; no effect the second time. Waits for work in progress. */
    @Override
    public void close() {
        cancelled = true;
        if (busy.isHeldByCurrentThread()) {
            // A progress listener closes the session whose prefill it listens to: the prefill ends at the next chunk.
            closeWhenDone = true;
            return;
        }
        busy.lock();
        try {
            release();
        } finally {
            busy.unlock();
        }
    }

    private void release() {
        if (!closed) {
            closed = true;
            model.forget(this);
            try (logits) {
                cache.close();
            }
        }
    }

    /** Whether the calling thread is inside one of this session's calls: a progress listener. */
    boolean isInUseByCaller() {
        return busy.isHeldByCurrentThread();
    }

    // What a generation uses

    String modelName() {
        return model.name();
    }

    /** Whether someone wants the current work to stop; the wish is taken with the answer. */
    boolean takeCancellation() {
        if (cancelled || Thread.currentThread().isInterrupted()) {
            cancelled = false;
            return true;
        }
        return false;
    }

    /** Runs one step of a generation, during which nobody else may use the session. */
    void step(Generation caller, Runnable body) {
        exclusively(() -> {
            if (generation != caller) {
                throw new IllegalStateException("the session has moved on; this generation has ended");
            }
            body.run();
            return 0;
        });
    }

    boolean isFull() {
        return tokens >= plan.options().maxContext();
    }

    /** Feeds the last chosen token if that has not happened yet. Returns how many tokens were fed. */
    int feedPending(Sampler next) {
        return feedPending(logits.wanted(next));
    }

    /** The token that comes next. */
    int choose(Sampler sampler, BitSet seen) {
        return logits.choose(sampler, seen, model.scheduler());
    }

    void accept(int id) {
        push(id);
    }

    boolean isEndToken(int id) {
        return model.isEndToken(id);
    }

    // Internals

    /** Tokens that were chosen but not fed: the last one of a generation, at most. */
    private int pending() {
        return (int) (tokens - cache.length());
    }

    private int feedPending(int wanted) {
        int pending = pending();
        for (int i = tokens - pending; i < tokens; i++) {
            feed(Kind.DECODE, new int[] {history[i]}, wanted, null);
        }
        return pending;
    }

    /** Takes the memory of the next tokens, or refuses and leaves the session as it is. */
    private void reserve(int count) {
        try {
            cache.reserve(count);
        } catch (DeviceMemoryException e) {
            throw new DuoException(
                    "The cache cannot grow from " + cache.length() + " to "
                            + (cache.length() + count) + " tokens: it needs " + e.requestedBytes() + " bytes more, "
                            + e.availableBytes() + " are free on "
                            + model.device().backendId()
                            + ", because other programs have taken memory since the session was opened; the session is as it was:"
                            + " end them and go on, or open one with fewer tokens or a smaller kv type",
                    e);
        }
    }

    /** Feeds one chunk; {@code wanted} is what {@link LastLogits} is asked for. */
    private void feed(Kind kind, int[] ids, int wanted, @Nullable TokenScorer scorer) {
        reserve(ids.length);
        broken = true;
        logits.forget();
        model.scheduler().run(kind, stream -> {
            model.decoder().feed(stream, ids, cache, plan.options().prefillMode());
            if (scorer != null) {
                scorer.score(stream, model.decoder(), ids.length);
            }
            if (wanted != LastLogits.NONE) {
                logits.compute(stream, model.decoder(), ids.length, wanted);
            }
            return 0;
        });
        broken = false;
    }

    private void push(int id) {
        if (tokens == history.length) {
            history = Arrays.copyOf(history, (int) Math.min(MAX_TOKENS, 2L * tokens));
        }
        history[tokens++] = id;
    }

    private <T> T exclusively(Supplier<T> body) {
        if (busy.isHeldByCurrentThread()) {
            throw new IllegalStateException(
                    "the session is in the middle of a call; a progress listener must not use it");
        }
        if (!busy.tryLock()) {
            throw new IllegalStateException("the session is in use by another thread");
        }
        try {
            if (closed) {
                throw new IllegalStateException("the session is closed");
            }
            if (broken) {
                throw new IllegalStateException(
                        "an earlier step failed half-way; close the session and open a new one");
            }
            return body.get();
        } finally {
            try {
                if (closeWhenDone) {
                    release();
                }
            } finally {
                busy.unlock();
            }
        }
    }
}
