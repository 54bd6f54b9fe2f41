package org.duoattention.backend.cpu.pool;

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
 * Threads are daemons and end with {@link #close}.
 */
public final class WorkerPool implements AutoCloseable {
    /** How long a thread polls before it parks; about what parking and waking costs. */
    private static final long POLL_NANOS = 50_000;

    private final ReentrantLock callers = new ReentrantLock(true);
    private final Thread[] workers;
    /** 1 for workers that park, or are about to unless they see a job: the others need no waking, which costs a lock. */
    private final AtomicIntegerArray asleep;

    private volatile @Nullable Job job;
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
     * Runs {@code body} for the parts {@code 0 .. parts-1} and returns when all are done. Each thread starts on its own
     * consecutive share, and takes from the ends of the others' when done. Callers on several threads wait for each other.
     * A part's exception is thrown here, after all parts that had begun; parts that had not are skipped.
     *
     * @throws IllegalStateException after close
     */
    public void parallelFor(int parts, PartBody body) {
        callers.lock();
        try {
            if (closed) {
                throw new IllegalStateException("the thread pool is closed");
            }
            if (parts <= 1 || workers.length == 0) {
                for (int part = 0; part < parts; part++) {
                    body.run(part, 0);
                }
                return;
            }
            Job current = new Job(parts, threads(), body, Thread.currentThread());
            job = current;
            for (int i = 0; i < Math.min(workers.length, parts - 1); i++) {
                if (asleep.get(i + 1) != 0) {
                    LockSupport.unpark(workers[i]);
                }
            }
            current.run(0);
            current.await();
            job = null;
            current.rethrow();
        } finally {
            callers.unlock();
        }
    }

    private void work(int worker) {
        Job last = null;
        long idleSince = System.nanoTime();
        while (!closed) {
            Job current = job;
            if (current != null && current != last) {
                current.run(worker);
                last = current;
                idleSince = System.nanoTime();
            } else if (System.nanoTime() - idleSince < POLL_NANOS) {
                Thread.onSpinWait();
            } else {
                asleep.set(worker, 1);
                // Again, now that a caller with a new job would see the flag.
                current = job;
                boolean idle = (current == null || current == last) && !closed;
                // Forget the job, whose body may hold on to memory.
                last = null;
                current = null;
                if (idle) {
                    LockSupport.park(this);
                }
                asleep.set(worker, 0);
                idleSince = System.nanoTime();
            }
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

    /** One operation: the shares that are left, and the count of parts that are not yet done. */
    private static final class Job {
        private final Share[] shares;
        private final PartBody body;
        private final Thread caller;
        private final AtomicInteger pending;
        private volatile @Nullable Throwable failure;

        Job(int parts, int threads, PartBody body, Thread caller) {
            this.body = body;
            this.caller = caller;
            this.pending = new AtomicInteger(parts);
            shares = new Share[threads];
            for (int i = 0; i < threads; i++) {
                shares[i] = new Share((int) ((long) parts * i / threads), (int) ((long) parts * (i + 1) / threads));
            }
        }

        void run(int worker) {
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
            try {
                if (failure == null) {
                    body.run(part, worker);
                }
            } catch (Throwable e) {
                failure = e;
            } finally {
                if (pending.decrementAndGet() == 0 && worker != 0) {
                    LockSupport.unpark(caller);
                }
            }
        }

        void await() {
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

        void rethrow() {
            switch (failure) {
                case null -> {}
                case RuntimeException e -> throw e;
                case Error e -> throw e;
                case Throwable e -> throw new IllegalStateException(e);
            }
        }
    }

    /** Parts {@code first .. end-1} that nobody has taken, in one word so that taking is one compare-and-set. */
    private static final class Share {
        private final AtomicLong range;

        Share(int first, int end) {
            range = new AtomicLong((long) first << 32 | end);
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
