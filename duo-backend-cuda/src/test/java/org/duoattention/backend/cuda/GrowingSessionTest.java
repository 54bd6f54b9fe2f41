package org.duoattention.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.SplittableRandom;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.backend.cuda.kernel.DirectoryImages;
import org.duoattention.core.DuoException;
import org.duoattention.core.session.Duo;
import org.duoattention.core.session.Generation;
import org.duoattention.core.session.GenerationRequest;
import org.duoattention.core.session.Model;
import org.duoattention.core.session.Session;
import org.duoattention.core.session.SessionBuilder;
import org.duoattention.core.session.SessionEvent;
import org.duoattention.core.session.SessionPlan;
import org.duoattention.core.spi.Backends;
import org.duoattention.core.spi.ProviderRegistry;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.Isolated;

/** Sessions whose caches grow, on the emulated driver with pages of 4 KiB. Alone, because the emulated device is one for all. */
@Isolated
class GrowingSessionTest {
    private static final int CONTEXT = 500;
    private static final int[] PROMPT = new SplittableRandom(5).ints(300, 3, 64).toArray();

    @AfterEach
    void reset() {
        EmulatedDriver.setGranularity(2 << 20);
        EmulatedDriver.othersTake(0);
    }

    private static Model open(long page) {
        EmulatedDriver.setGranularity(page);
        AttentionBackend backend =
                new CudaBackend(EmulatedDriver.library().toString(), new DirectoryImages(EmulatedDriver.kernels()));
        Duo duo = new Duo(
                new Backends(ProviderRegistry.of("backend", List.of(backend), AttentionBackend::id)),
                Duo.loadPolicies(),
                Duo.loadHeadMaskSources());
        Path checkpoint = EmulatedDriver.module().resolve("../duo-core/src/test/resources/checkpoints/qwen3");
        return duo.model(checkpoint).backendOption("libraries", "none").open();
    }

    private static SessionBuilder session(Model model) {
        return model.session().kv(BlockFormat.F32).chunk(32).maxContext(CONTEXT);
    }

    private static long freeBytes(Model model) {
        return ((CudaDevice) model.device()).context().freeBytes();
    }

    private static List<Integer> generate(Session session, int tokens) {
        List<Integer> ids = new ArrayList<>();
        for (SessionEvent event : session.generate(request(tokens))) {
            if (event instanceof SessionEvent.Token token) {
                ids.add(token.id());
            }
        }
        return ids;
    }

    private static GenerationRequest request(int tokens) {
        return GenerationRequest.builder()
                .maxNewTokens(tokens)
                .ignoreEndTokens()
                .build();
    }

    @Test
    void aSessionThatGrowsAndOneThatWasRefusedForAWhileGiveTheSameTokens() {
        List<Integer> expected;
        float[] logits;
        try (Model model = open(2 << 20);
                Session session = session(model).open()) {
            session.prefill(PROMPT);
            logits = session.logits();
            expected = generate(session, 150);
        }
        try (Model model = open(4096)) {
            long addresses = EmulatedDriver.reservedBytes();
            long allocated = model.device().allocatedBytes();
            SessionPlan plan = session(model).plan();
            try (Session session = session(model).open()) {
                assertThat(model.device().allocatedBytes() - allocated)
                        .isEqualTo(plan.kvBytes() + plan.activationBytes());
                assertThat(session.kvBytes()).isEqualTo(plan.kvBytes());
                long opened = EmulatedDriver.usedBytes();
                session.prefill(Arrays.copyOf(PROMPT, 60));
                assertThat(EmulatedDriver.usedBytes() - opened).isBetween(1L, plan.kvBytes() / 2);
                float[] short60 = session.logits();

                EmulatedDriver.othersTake(freeBytes(model));
                int[] rest = Arrays.copyOfRange(PROMPT, 60, PROMPT.length);
                long used = EmulatedDriver.usedBytes();
                assertThatThrownBy(() -> session.prefill(rest))
                        .isInstanceOf(DuoException.class)
                        .hasMessageMatching(
                                "The cache cannot grow from 60 to 300 tokens: it needs [1-9]\\d* bytes more, 0 are"
                                        + " free on cuda, because other programs have taken memory since the session was opened;"
                                        + " the session is as it was: end them and go on, or open one with fewer tokens or a"
                                        + " smaller kv type");
                assertThat(EmulatedDriver.usedBytes()).isEqualTo(used);
                assertThat(session.length()).isEqualTo(60);
                assertThat(session.logits()).isEqualTo(short60);
                assertThat(generate(session, 2)).hasSize(2);
                session.rollback(2);

                EmulatedDriver.othersTake(0);
                session.prefill(rest);
                assertThat(session.logits()).isEqualTo(logits);
                EmulatedDriver.othersTake(freeBytes(model));
                Generation generation = session.generate(request(150));
                List<Integer> actual = new ArrayList<>();
                assertThatThrownBy(() -> take(generation.iterator(), actual))
                        .isInstanceOf(DuoException.class)
                        .hasMessageStartingWith("The cache cannot grow from " + (300 + actual.size() - 1) + " to "
                                + (300 + actual.size()) + " tokens: it needs ");
                assertThat(actual).hasSizeBetween(1, 149);
                EmulatedDriver.othersTake(0);
                actual.addAll(generate(session, 150 - actual.size()));
                assertThat(actual).isEqualTo(expected);
            }
            assertThat(EmulatedDriver.reservedBytes()).isEqualTo(addresses);
            assertThat(model.device().allocatedBytes()).isBetween(allocated, allocated + plan.activationBytes());
        }
    }

    private static void take(Iterator<SessionEvent> events, List<Integer> ids) {
        while (events.hasNext()) {
            if (events.next() instanceof SessionEvent.Token token) {
                ids.add(token.id());
            }
        }
    }

    @Test
    void whatDoesNotFitIsRefusedWhenTheSessionIsOpened() {
        try (Model model = open(4096)) {
            long kv = session(model).plan().kvBytes();
            try (Session first = session(model).open()) {
                // Beyond what the backend leaves to the driver and to its own operations: less than two sessions.
                EmulatedDriver.othersTake(0);
                long available = model.device().availableBytes();
                EmulatedDriver.othersTake(available - kv / 2);
                assertThatThrownBy(() -> session(model).open())
                        .isInstanceOf(DuoException.class)
                        .hasMessageContaining(" bytes (" + kv + " of cache), ")
                        .hasMessageStartingWith("A context of 500 tokens with policy full and kv f32 needs ");
                // What the first session was promised is still there.
                first.prefill(PROMPT);
                assertThat(generate(first, 150)).hasSize(150);
            }
            assertThat(model.device().availableBytes()).isGreaterThanOrEqualTo(kv);
        }
    }
}
