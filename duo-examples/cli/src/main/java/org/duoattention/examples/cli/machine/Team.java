package org.duoattention.examples.cli.machine;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.IntConsumer;

/** Platform threads that all do the same thing at once; a team of one is the caller. Owns the threads. */
public final class Team implements AutoCloseable {
    private final int threads;
    private final ExecutorService pool;

    /** A team of the given number of threads. */
    public Team(int threads) {
        this.threads = threads;
        this.pool = Executors.newFixedThreadPool(
                threads, Thread.ofPlatform().daemon().name("duo-machine-", 0).factory());
    }

    /** Number of threads. */
    public int threads() {
        return threads;
    }

    /** Runs the body on every thread with its number, and waits. */
    public void run(IntConsumer body) {
        if (threads == 1) {
            body.accept(0);
            return;
        }
        List<Future<?>> all = new ArrayList<>();
        for (int i = 0; i < threads; i++) {
            int thread = i;
            all.add(pool.submit(() -> body.accept(thread)));
        }
        boolean interrupted = false;
        for (Future<?> one : all) {
            while (true) {
                try {
                    one.get();
                    break;
                } catch (InterruptedException e) {
                    // The body uses the caller's memory, so it is waited for.
                    interrupted = true;
                } catch (ExecutionException e) {
                    throw new IllegalStateException(e.getCause());
                }
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public void close() {
        pool.shutdown();
    }
}
