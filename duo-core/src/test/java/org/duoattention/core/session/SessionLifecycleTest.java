package org.duoattention.core.session;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.DeviceMemoryException;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.core.BrokenDevice;
import org.duoattention.core.DuoException;
import org.duoattention.core.prefill.StreamScheduler.Kind;
import org.duoattention.tck.OpaqueBackend;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.Timeout.ThreadMode;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What becomes of sessions when another one does not fit, somebody closes them while they work, or the device fails. */
@Timeout(value = 2, unit = TimeUnit.MINUTES, threadMode = ThreadMode.SEPARATE_THREAD)
class SessionLifecycleTest {
    private static final int CONTEXT = 128;

    private Path checkpoint;

    @BeforeEach
    void write(@TempDir Path directory) {
        checkpoint = TinyCheckpoint.write(directory);
    }

    private Model open(AttentionBackend backend) {
        return TestDuo.with(backend).model(checkpoint).open();
    }

    private static SessionBuilder sessions(Model model, int chunk) {
        return model.session().kv(BlockFormat.F32).maxContext(CONTEXT).chunk(chunk);
    }

    private static int[] ids(int count) {
        Random random = new Random(count);
        return IntStream.range(0, count)
                .map(i -> 3 + random.nextInt(TinyCheckpoint.VOCABULARY - 3))
                .toArray();
    }

    private static GenerationRequest tokens(int count) {
        return GenerationRequest.builder().maxNewTokens(count).ignoreEndTokens().build();
    }

    /** What a session that nobody disturbs answers to {@code ids(24)} and then {@code ids(20)}. */
    private float[] undisturbed() {
        OpaqueBackend backend = new OpaqueBackend();
        try (Model model = open(backend);
                Session session = sessions(model, 8).open()) {
            session.prefill(ids(24));
            session.prefill(ids(20));
            return session.logits();
        }
    }

    // A second session that does not fit

    @Test
    void aSecondSessionIsOpenedToTheLastByteAndRefusedOneByteBelow() {
        long fits;
        try (Model model = open(new OpaqueBackend())) {
            SessionPlan small = sessions(model, 8).plan();
            SessionPlan large = sessions(model, 64).plan();
            assertThat(large.activationBytes()).isGreaterThan(small.activationBytes());
            fits = small.kvBytes() + small.activationBytes() + large.kvBytes() + large.activationBytes();
        }
        secondSession(fits, true);
        secondSession(fits - 1, false);
    }

    private void secondSession(long memory, boolean opens) {
        OpaqueBackend backend = new OpaqueBackend(memory, Set.of());
        try (Model model = open(backend);
                Session first = sessions(model, 8).open()) {
            first.prefill(ids(24));
            long before = model.device().allocatedBytes();
            if (opens) {
                sessions(model, 64).open().close();
            } else {
                assertThatThrownBy(() -> sessions(model, 64).open())
                        .isInstanceOf(DuoException.class)
                        .hasMessageContaining("are available");
                assertThat(model.device().allocatedBytes()).isEqualTo(before);
            }
            first.prefill(ids(20));
            assertThat(first.logits()).isEqualTo(undisturbed());
        }
        backend.assertClosed();
    }

    @Test
    void anyAllocationOfASecondSessionMayFailAndTheFirstGoesOn() {
        OpaqueBackend backend = new OpaqueBackend();
        // Calls until the failure; negative: none.
        AtomicInteger countdown = new AtomicInteger(-1);
        AttentionBackend scarce = BrokenDevice.in(
                backend,
                "allocate",
                () -> countdown.getAndDecrement() == 0
                        ? Optional.of(new DeviceMemoryException("a test's tensor", 2, 1))
                        : Optional.empty());
        float[] expected = undisturbed();
        try (Model model = open(scarce)) {
            int failures = 0;
            for (boolean opened = false; !opened; failures++) {
                try (Session first = sessions(model, 8).open()) {
                    first.prefill(ids(24));
                    long before = model.device().allocatedBytes();
                    countdown.set(failures);
                    Throwable failure =
                            catchThrowable(() -> sessions(model, 64).open().close());
                    opened = countdown.getAndSet(-1) >= 0;
                    if (opened) {
                        assertThat(failure).isNull();
                    } else {
                        assertThat(failure).isInstanceOf(DuoException.class).hasMessageContaining("are available");
                        assertThat(model.device().allocatedBytes()).isEqualTo(before);
                    }
                    first.prefill(ids(20));
                    assertThat(first.logits()).isEqualTo(expected);
                }
            }
            // At least one slab of the cache and the scratch tensors of a layer.
            assertThat(failures).isGreaterThan(5);
        }
        backend.assertClosed();
    }

    @Test
    void aCacheThatCannotGrowIsRefusedAndTheSessionGoesOn() {
        OpaqueBackend backend = new OpaqueBackend();
        AtomicBoolean taken = new AtomicBoolean();
        AttentionBackend scarce = BrokenDevice.in(
                backend,
                "reserve",
                () -> taken.get() ? Optional.of(new DeviceMemoryException("a cache", 1000, 7)) : Optional.empty());
        try (Model model = open(scarce);
                Session session = sessions(model, 8).open()) {
            session.prefill(ids(24));
            taken.set(true);
            assertThatThrownBy(() -> session.prefill(ids(20)))
                    .isInstanceOf(DuoException.class)
                    .hasMessageContaining("cannot grow from 24 to 44 tokens: it needs 1000 bytes more, 7 are free on"
                            + " opaque, because other programs")
                    .hasCauseInstanceOf(DeviceMemoryException.class);
            assertThat(session.length()).isEqualTo(24);
            taken.set(false);
            session.prefill(ids(20));
            assertThat(session.logits()).isEqualTo(undisturbed());
        }
        backend.assertClosed();
    }

    // Closing from another thread

    @ParameterizedTest(name = "the model: {0}")
    @ValueSource(booleans = {false, true})
    void closingDuringAPrefillStopsItAfterTheChunk(boolean wholeModel) throws Exception {
        OpaqueBackend backend = new OpaqueBackend();
        Model model = open(backend);
        Session session = sessions(model, 8).open();
        FutureTask<Throwable> work = new FutureTask<>(() -> catchThrowable(() -> session.prefill(ids(64))));

        closeWhileTheDeviceIsBusy(model, wholeModel ? model : session, work);

        // The chunk that ran when close was called ends; no other one begins.
        assertThat(work.get())
                .isInstanceOfSatisfying(
                        CancelledException.class, e -> assertThat(e.fedTokens()).isEqualTo(8));
        isClosed(session);
        model.close();
        backend.assertClosed();
    }

    @ParameterizedTest(name = "the model: {0}")
    @ValueSource(booleans = {false, true})
    void closingDuringAGenerationEndsItAfterTheToken(boolean wholeModel) throws Exception {
        OpaqueBackend backend = new OpaqueBackend();
        Model model = open(backend);
        Session session = sessions(model, 8).open();
        session.prefill(ids(8));
        List<SessionEvent> events = new ArrayList<>();
        FutureTask<Throwable> work = new FutureTask<>(
                () -> catchThrowable(() -> session.generate(tokens(50)).forEach(events::add)));

        closeWhileTheDeviceIsBusy(model, wholeModel ? model : session, work);

        endedEarly(work.get(), events);
        // The first token needs the prefill's logits only, the second one waited for the device.
        assertThat(events.stream().filter(SessionEvent.Token.class::isInstance)).hasSizeBetween(1, 2);
        isClosed(session);
        model.close();
        backend.assertClosed();
    }

    /** Starts the work, closes when it waits for the device, and lets the device go on when the closing thread waits. */
    private static void closeWhileTheDeviceIsBusy(Model model, AutoCloseable target, FutureTask<?> work)
            throws Exception {
        CountDownLatch deviceMayGoOn = new CountDownLatch(1);
        CountDownLatch deviceIsBusy = new CountDownLatch(1);
        Thread blocker = Thread.ofPlatform()
                .daemon()
                .start(() -> model.scheduler().run(Kind.DECODE, stream -> {
                    deviceIsBusy.countDown();
                    awaitUninterruptibly(deviceMayGoOn);
                    return 0;
                }));
        deviceIsBusy.await();
        Thread worker = Thread.ofPlatform().daemon().start(work);
        untilItWaits(worker);
        FutureTask<Void> close = new FutureTask<>(() -> {
            target.close();
            return null;
        });
        Thread closer = Thread.ofPlatform().daemon().start(close);
        untilItWaits(closer);
        assertThat(close.isDone()).as("close waits for the work in progress").isFalse();
        deviceMayGoOn.countDown();
        blocker.join();
        close.get();
        worker.join();
    }

    @ParameterizedTest(name = "the model: {0}")
    @ValueSource(booleans = {false, true})
    void closingBetweenTheTokensOfAGenerationEndsIt(boolean wholeModel) throws Exception {
        OpaqueBackend backend = new OpaqueBackend();
        Model model = open(backend);
        Session session = sessions(model, 8).open();
        session.prefill(ids(8));
        CountDownLatch threeEvents = new CountDownLatch(3);
        CountDownLatch closed = new CountDownLatch(1);
        List<SessionEvent> events = new ArrayList<>();
        FutureTask<Throwable> work = new FutureTask<>(() -> catchThrowable(() -> {
            for (SessionEvent event : session.generate(tokens(50))) {
                events.add(event);
                threeEvents.countDown();
                if (events.size() == 3) {
                    awaitUninterruptibly(closed);
                }
            }
        }));
        Thread worker = Thread.ofPlatform().daemon().start(work);
        threeEvents.await();
        if (wholeModel) {
            model.close();
        } else {
            session.close();
        }
        closed.countDown();
        worker.join();

        endedEarly(work.get(), events);
        assertThat(events.stream().filter(SessionEvent.Token.class::isInstance)).hasSize(3);
        isClosed(session);
        model.close();
        backend.assertClosed();
    }

    // Progress listeners

    @Test
    void aProgressListenerCannotUseTheSession() {
        OpaqueBackend backend = new OpaqueBackend();
        try (Model model = open(backend);
                Session session = sessions(model, 8).open()) {
            session.prefill(ids(24), progress -> {
                for (Runnable use : List.<Runnable>of(
                        () -> session.prefill(ids(1)),
                        () -> session.rollback(1),
                        session::logits,
                        () -> session.generate(tokens(1)))) {
                    assertThatThrownBy(use::run)
                            .isInstanceOf(IllegalStateException.class)
                            .hasMessageContaining("in the middle of a call");
                }
            });
            session.prefill(ids(20));
            assertThat(session.logits()).isEqualTo(undisturbed());
        }
        backend.assertClosed();
    }

    @Test
    void aProgressListenerMayNotCloseTheModel() {
        OpaqueBackend backend = new OpaqueBackend();
        Model model = open(backend);
        Session session = sessions(model, 8).open();
        assertThatThrownBy(() -> session.prefill(ids(64), progress -> model.close()))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("progress listener");
        model.close();
        backend.assertClosed();
    }

    @Test
    void aProgressListenerMayCloseTheSession() {
        OpaqueBackend backend = new OpaqueBackend();
        Model model = open(backend);
        Session session = sessions(model, 8).open();
        assertThatThrownBy(() -> session.prefill(ids(64), progress -> session.close()))
                .isInstanceOfSatisfying(
                        CancelledException.class, e -> assertThat(e.fedTokens()).isEqualTo(8));
        isClosed(session);
        model.close();
        backend.assertClosed();
    }

    /** At moments that the scheduler of the operating system chooses: whatever happens is one of the documented ends. */
    @ParameterizedTest(name = "the model: {0}")
    @ValueSource(booleans = {false, true})
    void closingAtAnyMomentNeitherHangsNorLeaks(boolean wholeModel) throws Exception {
        for (int round = 0; round < 30; round++) {
            OpaqueBackend backend = new OpaqueBackend();
            Model model = open(backend);
            Session session = sessions(model, 8).open();
            CountDownLatch begun = new CountDownLatch(1 + round % 5);
            List<SessionEvent> events = new ArrayList<>();
            FutureTask<Throwable> work = new FutureTask<>(() -> catchThrowable(() -> {
                session.prefill(ids(24), progress -> begun.countDown());
                for (SessionEvent event : session.generate(tokens(100))) {
                    events.add(event);
                    begun.countDown();
                }
            }));
            Thread worker = Thread.ofPlatform().daemon().start(work);
            begun.await();
            if (wholeModel) {
                model.close();
            } else {
                session.close();
            }
            worker.join();

            endedEarly(work.get(), events);
            isClosed(session);
            model.close();
            backend.assertClosed();
        }
    }

    private static void endedEarly(Throwable thrown, List<SessionEvent> events) {
        if (thrown == null) {
            assertThat(events.getLast())
                    .isInstanceOfSatisfying(
                            SessionEvent.Finished.class,
                            end -> assertThat(end.reason()).isEqualTo(FinishReason.CANCELLED));
        } else {
            assertThat(thrown).isInstanceOfAny(CancelledException.class, IllegalStateException.class);
            if (thrown instanceof IllegalStateException) {
                assertThat(thrown).message().containsAnyOf("closed", "in use by another thread");
            }
        }
    }

    private static void isClosed(Session session) {
        assertThatThrownBy(() -> session.prefill(ids(1)))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("closed");
    }

    private static void untilItWaits(Thread thread) {
        while (thread.getState() != Thread.State.WAITING) {
            assertThat(thread.getState()).as("the thread should wait").isNotEqualTo(Thread.State.TERMINATED);
            Thread.onSpinWait();
        }
    }

    private static void awaitUninterruptibly(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    // Devices that cannot do something

    @Test
    void rollbackWithoutTheCapabilityIsRefusedAndChangesNothing() {
        OpaqueBackend backend = new OpaqueBackend(OpaqueBackend.DEFAULT_MEMORY, Set.of(Capability.ROLLBACK));
        OpaqueBackend able = new OpaqueBackend();
        try (Model model = open(backend);
                Model other = open(able);
                Session session = sessions(model, 8).open();
                Session expected = sessions(other, 8).open()) {
            session.prefill(ids(24));
            expected.prefill(ids(24));
            Generation answer = session.generate(tokens(6));
            Generation expectedAnswer = expected.generate(tokens(6));
            for (int i = 0; i < 3; i++) {
                assertThat(answer.next()).isEqualTo(expectedAnswer.next());
            }
            int[] tokens = session.tokens();

            for (long count : new long[] {2, 20, tokens.length}) {
                assertThatThrownBy(() -> session.rollback(count))
                        .isInstanceOf(DuoException.class)
                        .hasMessageContaining("opaque")
                        .hasMessageContaining(Capability.ROLLBACK.label());
            }

            assertThat(session.tokens()).isEqualTo(tokens);
            // The generation goes on as if nothing had been asked.
            for (int i = 0; i < 3; i++) {
                assertThat(answer.next()).isEqualTo(expectedAnswer.next());
            }
            session.prefill(ids(20));
            expected.prefill(ids(20));
            assertThat(session.logits()).isEqualTo(expected.logits());
            assertThat(Arrays.copyOf(session.tokens(), 24)).isEqualTo(ids(24));
        }
        backend.assertClosed();
        able.assertClosed();
    }

    @Test
    void aDeviceThatOpensNoStreamFailsTheSessionsWithTheCause() {
        OpaqueBackend backend = new OpaqueBackend();
        RuntimeException cause = new UnsupportedOperationException("no stream today");
        try (Model model = open(BrokenDevice.in(backend, "openStream", () -> Optional.of(cause)))) {
            for (int i = 0; i < 2; i++) {
                assertThatThrownBy(() -> sessions(model, 8).open())
                        .satisfies(e ->
                                assertThat(e == cause || e.getCause() == cause).isTrue());
                assertThat(model.device().allocatedBytes()).isZero();
            }
        }
        backend.assertClosed();
    }
}
