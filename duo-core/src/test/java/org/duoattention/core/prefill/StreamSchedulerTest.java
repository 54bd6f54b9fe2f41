package org.duoattention.core.prefill;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.duoattention.api.backend.Device;
import org.duoattention.core.BrokenDevice;
import org.duoattention.core.prefill.StreamScheduler.Kind;
import org.duoattention.tck.OpaqueBackend;
import org.duoattention.tck.OpaqueDevice;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.Timeout.ThreadMode;

/** The scheduler's order and its thread, without a clock: latches decide what waits when. */
class StreamSchedulerTest {
    private final OpaqueDevice device = new OpaqueBackend().openOpaque();
    private final List<String> order = Collections.synchronizedList(new ArrayList<>());
    private StreamScheduler scheduler;

    @BeforeEach
    void start() {
        scheduler = new StreamScheduler(device);
    }

    @AfterEach
    void stop() {
        scheduler.close();
        device.close();
        device.assertNothingLeft();
    }

    @Test
    void aDecodeStepOfAnotherSessionRunsBetweenTheChunksOfALongPrefill() throws InterruptedException {
        Semaphore chunkRuns = new Semaphore(0);
        Semaphore chunkMayEnd = new Semaphore(0);
        Thread prefill = Thread.ofVirtual().start(() -> {
            for (int chunk = 0; chunk < 3; chunk++) {
                String name = "chunk " + chunk;
                scheduler.run(Kind.PREFILL, stream -> {
                    chunkRuns.release();
                    chunkMayEnd.acquireUninterruptibly();
                    return order.add(name);
                });
            }
        });
        chunkRuns.acquire();
        CountDownLatch submitted = new CountDownLatch(1);
        Thread decode = Thread.ofVirtual().start(() -> {
            submitted.countDown();
            scheduler.run(Kind.DECODE, stream -> order.add("decode"));
        });
        submitted.await();
        // The step is queued once its thread waits for the result.
        while (decode.getState() != Thread.State.WAITING) {
            Thread.onSpinWait();
        }
        chunkMayEnd.release(3);
        decode.join();
        prefill.join();
        assertThat(order).containsExactly("chunk 0", "decode", "chunk 1", "chunk 2");
    }

    @Test
    void allUnitsRunOnTheOneThreadThatOwnsTheStream() throws InterruptedException {
        List<Thread> owners = Collections.synchronizedList(new ArrayList<>());
        List<Thread> callers = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            callers.add(Thread.ofVirtual()
                    .start(() -> scheduler.run(Kind.DECODE, stream -> owners.add(Thread.currentThread()))));
        }
        for (Thread caller : callers) {
            caller.join();
        }
        assertThat(owners).hasSize(8);
        assertThat(owners.stream().distinct()).singleElement().matches(thread -> !thread.isVirtual());
    }

    @Test
    void aFailureReachesItsCallerAndNobodyElse() {
        assertThatThrownBy(() -> scheduler.run(Kind.DECODE, stream -> {
                    throw new IllegalArgumentException("mine");
                }))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("mine");
        String value = scheduler.run(Kind.DECODE, stream -> "fine");
        assertThat(value).isEqualTo("fine");
    }

    @Test
    void anInterruptedCallerStillWaitsAndStaysInterrupted() {
        Thread.currentThread().interrupt();
        String value = scheduler.run(Kind.PREFILL, stream -> "done");
        assertThat(value).isEqualTo("done");
        assertThat(Thread.interrupted()).isTrue();
    }

    @Test
    void afterCloseNothingIsAccepted() {
        scheduler.close();
        scheduler.close();
        assertThatThrownBy(() -> scheduler.run(Kind.DECODE, stream -> 1)).isInstanceOf(IllegalStateException.class);
    }

    @Test
    @Timeout(value = 1, unit = TimeUnit.MINUTES, threadMode = ThreadMode.SEPARATE_THREAD)
    void aDeviceThatOpensNoStreamFailsCallersBeforeAndAfter() throws InterruptedException {
        RuntimeException cause = new IllegalArgumentException("no stream today");
        CountDownLatch mayFail = new CountDownLatch(1);
        Device broken = BrokenDevice.of(device, "openStream", () -> {
            try {
                mayFail.await();
            } catch (InterruptedException e) {
                throw new AssertionError(e);
            }
            return Optional.of(cause);
        });
        try (StreamScheduler hopeless = new StreamScheduler(broken)) {
            List<Throwable> thrown = Collections.synchronizedList(new ArrayList<>());
            List<Thread> callers = new ArrayList<>();
            for (Kind kind : Kind.values()) {
                Thread caller = Thread.ofPlatform()
                        .daemon()
                        .start(() -> thrown.add(catchThrowable(() -> hopeless.run(kind, stream -> order.add("ran")))));
                while (caller.getState() != Thread.State.WAITING) {
                    Thread.onSpinWait();
                }
                callers.add(caller);
            }
            mayFail.countDown();
            for (Thread caller : callers) {
                caller.join();
            }
            assertThat(thrown).hasSize(2).allMatch(e -> e == cause || e.getCause() == cause);
            assertThatThrownBy(() -> hopeless.run(Kind.DECODE, stream -> order.add("ran")))
                    .isInstanceOf(IllegalStateException.class)
                    .hasCause(cause);
            assertThat(order).isEmpty();
        }
    }
}
