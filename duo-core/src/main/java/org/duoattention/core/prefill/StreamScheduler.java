package org.duoattention.core.prefill;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Function;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.jspecify.annotations.Nullable;

/**
 * Shares one compute stream between sessions: a platform thread owns the stream and runs what sessions submit, one unit
 * at a time, in the order of a {@link WorkQueue}.
 *
 * <p>Thread-safe. Callers block until their unit has run; they may be virtual threads. An interrupted caller still waits
 * for its unit, because the unit uses the caller's memory, and keeps its interrupt status.
 */
public final class StreamScheduler implements AutoCloseable {
    /** How a unit of work queues. */
    public enum Kind {
        /** A short step that others should wait for: decode, rollback, transfers. */
        DECODE,
        /** One chunk of a prefill. */
        PREFILL
    }

    private record Unit(Function<ComputeStream, @Nullable Object> body, CompletableFuture<@Nullable Object> result) {}

    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    private final WorkQueue<Unit> queue = new WorkQueue<>();
    private final Thread owner;
    private boolean closing;
    private @Nullable Throwable failure;

    /** Starts the owner thread, which opens a stream on the device. The device outlives the scheduler. */
    public StreamScheduler(Device device) {
        this.owner = Thread.ofPlatform().name("duo-stream").daemon().start(() -> serve(device));
    }

    /**
     * Runs one unit on the stream and waits for it. The unit's work is synchronised before this returns.
     *
     * @return what the body returned
     * @throws IllegalStateException when the scheduler is closed, or the device could not open a stream
     */
    @SuppressWarnings("unchecked")
    public <T> T run(Kind kind, Function<ComputeStream, T> body) {
        Unit unit = new Unit(body::apply, new CompletableFuture<>());
        lock.lock();
        try {
            if (failure != null) {
                throw new IllegalStateException("the device's stream failed: " + failure, failure);
            }
            if (closing) {
                throw new IllegalStateException("the model is closed");
            }
            if (kind == Kind.DECODE) {
                queue.addDecode(unit);
            } else {
                queue.addPrefill(unit);
            }
            changed.signal();
        } finally {
            lock.unlock();
        }
        try {
            return (T) unit.result().join();
        } catch (CompletionException e) {
            if (e.getCause() instanceof RuntimeException cause) {
                throw cause;
            }
            if (e.getCause() instanceof Error cause) {
                throw cause;
            }
            throw e;
        }
    }

    private void serve(Device device) {
        try (ComputeStream stream = device.openStream()) {
            for (Unit unit = take(); unit != null; unit = take()) {
                try {
                    Object value = unit.body().apply(stream);
                    stream.synchronize();
                    unit.result().complete(value);
                } catch (Throwable e) {
                    unit.result().completeExceptionally(e);
                }
            }
        } catch (Throwable e) {
            refuseAll(e);
        }
    }

    /** Nobody waits for a stream that could not be opened. */
    private void refuseAll(Throwable e) {
        lock.lock();
        try {
            failure = e;
            while (!queue.isEmpty()) {
                queue.next().orElseThrow().result().completeExceptionally(e);
            }
        } finally {
            lock.unlock();
        }
    }

    private @Nullable Unit take() {
        lock.lock();
        try {
            while (queue.isEmpty()) {
                if (closing) {
                    return null;
                }
                changed.awaitUninterruptibly();
            }
            return queue.next().orElseThrow();
        } finally {
            lock.unlock();
        }
    }

    /** Runs what is queued, closes the stream and ends the owner thread. No effect the second time. */
    @Override
    public void close() {
        lock.lock();
        try {
            closing = true;
            changed.signal();
        } finally {
            lock.unlock();
        }
        boolean interrupted = false;
        while (owner.isAlive()) {
            try {
                owner.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
