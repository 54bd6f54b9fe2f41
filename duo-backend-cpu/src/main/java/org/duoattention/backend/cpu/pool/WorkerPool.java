package org.duoattention.backend.cpu.pool;

import java.util.Arrays;
import java.util.Objects;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * A fixed number of threads that run the parts of one operation at a time; the caller is one of them.
 *
 * <p>A decoder step is a few hundred short operations, so a worker that finds nothing to do looks again for some
 * microseconds before it parks: waking a parked thread costs as much as a small operation. An idle pool takes no time.
 * Threads are daemons and end with {@link #close}. Running an operation allocates nothing.
 */
public final class WorkerPool implements AutoCloseable {
    /** How long a thread polls before it parks; about what parking and waking costs. */
    private static final long POLL_NANOS = 50_000;

    private final ReentrantLock callers = new ReentrantLock(true);
    private final Thread[] workers;
    /** 1 for workers that park, or are about to unless they see a job: the others need no waking, which costs a lock. */
    private final AtomicIntegerArray asleep;

    /** Operations so far: by it a worker sees that there is a new one. */
    private final AtomicInteger operations = new AtomicInteger();
    /** Parts of the operation in progress that nobody has taken, for each thread, and the number of those not yet done. */
    private final Share[] shares;

    private final AtomicInteger pending = new AtomicInteger();
    private volatile @Nullable PartBody body;
    private volatile @Nullable Thread caller;
    private volatile @Nullable Throwable failure;
    private volatile boolean closed;

    /**
     * Starts the threads.
     *
     * @param threads number of threads, the caller's included; at least 1
     * @param name prefix of the thread names
     */
    public WorkerPool(int threads, String name) {
        workers = new Thread[threads - 1];
        asleep = new AtomicIntegerArray(threads);
        shares = new Share[threads];
        Arrays.setAll(shares, i -> new Share());
        for (int i = 0; i < workers.length; i++) {
            int worker = i + 1;
            workers[i] = new Thread(() -> work(worker), name + "-" + worker);
            workers[i].setDaemon(true);
            workers[i].start();
        }
    }

    /** Number of threads, the caller's included. */
    public int threads() {
        return workers.length + 1;
    }

    /**
     * Runs {@code work} for the parts {@code 0 .. parts-1} and returns when all are done. Each thread starts on its own
     * consecutive share, and takes from the ends of the others' when done. Callers on several threads wait for each other.
     * A part's exception is thrown here, after all parts that had begun; parts that had not are skipped.
     *
     * @throws IllegalStateException after close
     */
    public void parallelFor(int parts, PartBody work) {
        callers.lock();
        try {
            if (closed) {
                throw new IllegalStateException("the thread pool is closed");
            }
            if (parts <= 1 || workers.length == 0) {
                for (int part = 0; part < parts; part++) {
                    work.run(part, 0);
                }
                return;
            }
            begin(parts, work);
            for (int i = 0; i < Math.min(workers.length, parts - 1); i++) {
                if (asleep.get(i + 1) != 0) {
                    LockSupport.unpark(workers[i]);
                }
            }
            takeParts(0);
            await();
            body = null;
            rethrow();
        } finally {
            callers.unlock();
        }
    }

    /**
     * Lays out an operation. A worker that is late from the one before may take a part as soon as a share has some, so the rest
     * is written first.
     */
    private void begin(int parts, PartBody work) {
        body = work;
        caller = Thread.currentThread();
        failure = null;
        pending.set(parts);
        for (int i = 0; i < shares.length; i++) {
            shares[i].set((int) ((long) parts * i / shares.length), (int) ((long) parts * (i + 1) / shares.length));
        }
        operations.incrementAndGet();
    }

    private void work(int worker) {
        int last = 0;
        long idleSince = System.nanoTime();
        while (!closed) {
            int current = operations.get();
            if (current != last) {
                takeParts(worker);
                last = current;
                idleSince = System.nanoTime();
            } else if (System.nanoTime() - idleSince < POLL_NANOS) {
                Thread.onSpinWait();
            } else {
                asleep.set(worker, 1);
                // Again, now that a caller with a new operation would see the flag.
                if (operations.get() == last && !closed) {
                    LockSupport.park(this);
                }
                asleep.set(worker, 0);
                idleSince = System.nanoTime();
            }
        }
    }

    private void takeParts(int worker) {
        for (int part = shares[worker].takeFirst(); part >= 0; part = shares[worker].takeFirst()) {
            runPart(part, worker);
        }
        for (int i = 1; i < shares.length; i++) {
            Share other = shares[(worker + i) % shares.length];
            for (int part = other.takeLast(); part >= 0; part = other.takeLast()) {
                runPart(part, worker);
            }
        }
    }

    private void runPart(int part, int worker) {
        // Those of the operation that the part is of, which does not end before the part is counted.
        PartBody work = Objects.requireNonNull(body);
        Thread waiting = caller;
        try {
            if (failure == null) {
                work.run(part, worker);
            }
        } catch (Throwable e) {
            failure = e;
        } finally {
            if (pending.decrementAndGet() == 0 && worker != 0) {
                LockSupport.unpark(waiting);
            }
        }
    }

    private void await() {
        boolean interrupted = false;
        long start = System.nanoTime();
        while (pending.get() > 0) {
            if (System.nanoTime() - start < POLL_NANOS) {
                Thread.onSpinWait();
            } else {
                LockSupport.park(this);
                // A set flag would turn the wait into a spin.
                interrupted |= Thread.interrupted();
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private void rethrow() {
        Throwable problem = failure;
        failure = null;
        switch (problem) {
            case null -> {}
            case RuntimeException e -> throw e;
            case Error e -> throw e;
            case Throwable e -> throw new IllegalStateException(e);
        }
    }

    /** Ends the threads after the operation in progress, if any; no effect the second time. */
    @Override
    public void close() {
        callers.lock();
        try {
            closed = true;
        } finally {
            callers.unlock();
        }
        boolean interrupted = false;
        for (Thread worker : workers) {
            LockSupport.unpark(worker);
            while (worker.isAlive()) {
                try {
                    worker.join();
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    /**
     * Parts {@code first .. end-1} that nobody has taken, in one word so that taking is one compare-and-set. Which operation they
     * are of does not matter to who takes one: the body is read afterwards.
     */
    private static final class Share {
        private final AtomicLong range = new AtomicLong();

        void set(int first, int end) {
            range.set((long) first << 32 | end);
        }

        int takeFirst() {
            while (true) {
                long old = range.get();
                int first = (int) (old >>> 32);
                if (first >= (int) old) {
                    return -1;
                }
                if (range.compareAndSet(old, old + (1L << 32))) {
                    return first;
                }
            }
        }

        int takeLast() {
            while (true) {
                long old = range.get();
                int end = (int) old;
                if ((int) (old >>> 32) >= end) {
                    return -1;
                }
                if (range.compareAndSet(old, old - 1)) {
                    return end - 1;
                }
            }
        }
    }
}
