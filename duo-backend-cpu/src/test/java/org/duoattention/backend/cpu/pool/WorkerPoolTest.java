package org.duoattention.backend.cpu.pool;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.parallel.Isolated;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(60)
@Isolated("it looks at the whole process")
class WorkerPoolTest {
    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 8})
    void runsEveryPartOnce(int threads) {
        try (WorkerPool pool = new WorkerPool(threads, "test")) {
            for (int round = 0; round < 2_000; round++) {
                AtomicIntegerArray counts = new AtomicIntegerArray(round % 50);
                pool.parallelFor(counts.length(), (part, worker) -> counts.incrementAndGet(part));
                for (int part = 0; part < counts.length(); part++) {
                    assertThat(counts.get(part)).isEqualTo(1);
                }
            }
        }
    }

    @Test
    void neverRunsTwoPartsWithOneWorkerIndex() throws InterruptedException {
        try (WorkerPool pool = new WorkerPool(3, "test")) {
            AtomicIntegerArray busy = new AtomicIntegerArray(3);
            AtomicInteger clashes = new AtomicInteger();
            Runnable caller = () -> {
                for (int round = 0; round < 500; round++) {
                    pool.parallelFor(12, (part, worker) -> {
                        if (busy.incrementAndGet(worker) != 1) {
                            clashes.incrementAndGet();
                        }
                        Thread.onSpinWait();
                        busy.decrementAndGet(worker);
                    });
                }
            };
            List<Thread> callers = new ArrayList<>();
            for (int i = 0; i < 3; i++) {
                callers.add(Thread.ofPlatform().start(caller));
            }
            for (Thread thread : callers) {
                thread.join();
            }
            assertThat(clashes.get()).isZero();
        }
    }

    @Test
    void throwsWhatAPartThrew() {
        try (WorkerPool pool = new WorkerPool(2, "test")) {
            for (int failing = 0; failing < 10; failing++) {
                int bad = failing;
                assertThatThrownBy(() -> pool.parallelFor(10, (part, worker) -> {
                            if (part == bad) {
                                throw new IllegalArgumentException("part " + part);
                            }
                        }))
                        .isInstanceOf(IllegalArgumentException.class)
                        .hasMessage("part " + bad);
            }
            AtomicInteger after = new AtomicInteger();
            pool.parallelFor(10, (part, worker) -> after.incrementAndGet());
            assertThat(after.get()).isEqualTo(10);
        }
    }

    @Test
    void finishesForAnInterruptedCallerAndKeepsTheFlag() {
        try (WorkerPool pool = new WorkerPool(2, "test")) {
            AtomicInteger done = new AtomicInteger();
            Thread.currentThread().interrupt();
            pool.parallelFor(8, (part, worker) -> done.incrementAndGet());
            assertThat(Thread.interrupted()).isTrue();
            assertThat(done.get()).isEqualTo(8);
        }
    }

    @Test
    void takesNoTimeWhenIdle() throws InterruptedException {
        ThreadMXBean threads = ManagementFactory.getThreadMXBean();
        try (WorkerPool pool = new WorkerPool(4, "idle-test")) {
            pool.parallelFor(64, (part, worker) -> Thread.onSpinWait());
            Thread.sleep(Duration.ofMillis(100));
            long before = cpuNanos(threads);
            Thread.sleep(Duration.ofMillis(500));
            assertThat(cpuNanos(threads) - before)
                    .isLessThan(Duration.ofMillis(5).toNanos());
        }
    }

    private static long cpuNanos(ThreadMXBean threads) {
        long sum = 0;
        for (long id : threads.getAllThreadIds()) {
            var info = threads.getThreadInfo(id);
            if (info != null && info.getThreadName().startsWith("idle-test")) {
                sum += threads.getThreadCpuTime(id);
            }
        }
        return sum;
    }

    @Test
    void endsItsThreads() {
        List<Thread> used = new ArrayList<>();
        WorkerPool pool = new WorkerPool(4, "closing-test");
        pool.parallelFor(100, (part, worker) -> {
            synchronized (used) {
                used.add(Thread.currentThread());
            }
        });
        pool.close();
        pool.close();

        assertThat(Thread.getAllStackTraces().keySet())
                .noneMatch(thread -> thread.getName().startsWith("closing-test"));
        assertThatThrownBy(() -> pool.parallelFor(1, (part, worker) -> {})).isInstanceOf(IllegalStateException.class);
    }
}
