package org.duoattention.core.session;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.duoattention.api.head.HeadMask;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.core.DuoException;
import org.duoattention.core.sample.Sampling;
import org.duoattention.tck.OpaqueBackend;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Sessions over a device whose memory the host cannot read: turns, rollback, cancellation, limits, refusals. */
class SessionTest {
    private static final HeadMask MASK = HeadMask.of(TinyCheckpoint.KV_HEADS, List.of(HeadSet.of(1), HeadSet.empty()));

    private final OpaqueBackend backend = new OpaqueBackend();
    private Model model;

    @BeforeEach
    void open(@TempDir Path directory) {
        model = TestDuo.with(backend).model(TinyCheckpoint.write(directory)).open();
    }

    @AfterEach
    void nothingIsLeft() {
        model.close();
        backend.assertClosed();
    }

    private static int[] ids(int count, long seed) {
        Random random = new Random(seed);
        return IntStream.range(0, count)
                .map(i -> 3 + random.nextInt(TinyCheckpoint.VOCABULARY - 3))
                .toArray();
    }

    private static int[] join(int[]... parts) {
        return Arrays.stream(parts).flatMapToInt(Arrays::stream).toArray();
    }

    private SessionBuilder full() {
        return model.session().kv(BlockFormat.F32).maxContext(256).chunk(16);
    }

    private SessionBuilder duo() {
        return full().policy("duo").heads(MASK).sinks(2).recent(8);
    }

    private static List<Integer> generate(Session session, GenerationRequest request) {
        List<Integer> tokens = new ArrayList<>();
        for (SessionEvent event : session.generate(request)) {
            if (event instanceof SessionEvent.Token token) {
                tokens.add(token.id());
            }
        }
        return tokens;
    }

    private static GenerationRequest tokens(int count) {
        return GenerationRequest.builder().maxNewTokens(count).ignoreEndTokens().build();
    }

    private static void assertClose(float[] actual, float[] expected) {
        assertThat(actual).hasSize(expected.length);
        for (int i = 0; i < actual.length; i++) {
            assertThat((double) actual[i]).as("logit %d", i).isCloseTo(expected[i], within(1e-5));
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 15, 16, 17, 40})
    void scoresAreTheLogProbabilitiesOfOneTokenAfterTheOther(int count) {
        int[] ids = ids(count, 5);
        int[] before = ids(3, 6);
        try (Session scored = duo().chunk(1).open();
                Session stepped = duo().chunk(1).open()) {
            scored.prefill(before);
            double[] scores = scored.score(ids, progress -> {});
            stepped.prefill(before);
            assertThat(scores).hasSize(count - 1);
            for (int i = 0; i < count; i++) {
                stepped.prefill(new int[] {ids[i]});
                if (i < count - 1) {
                    assertThat(scores[i]).isCloseTo(logProbability(stepped.logits(), ids[i + 1]), within(1e-9));
                }
            }
            assertThat(scored.logits()).containsExactly(stepped.logits());
            assertThat(scored.length()).isEqualTo(stepped.length());
        }
        try (Session chunked = full().open();
                Session single = full().chunk(1).open()) {
            assertThat(chunked.score(ids, progress -> {}))
                    .containsExactly(single.score(ids, progress -> {}), within(1e-5));
        }
    }

    private static double logProbability(float[] logits, int id) {
        double sum = 0;
        for (float logit : logits) {
            sum += Math.exp(logit);
        }
        return logits[id] - Math.log(sum);
    }

    @Test
    void theCacheIsKeptAcrossTurns() {
        int[] first = ids(30, 1);
        int[] second = ids(21, 2);
        try (Session turns = full().open();
                Session once = full().open()) {
            turns.prefill(first);
            int[] answer = generate(turns, tokens(5)).stream()
                    .mapToInt(Integer::intValue)
                    .toArray();
            turns.prefill(second);
            once.prefill(join(first, answer, second));
            assertThat(turns.length()).isEqualTo(30 + 5 + 21);
            assertThat(turns.tokens()).isEqualTo(once.tokens());
            assertClose(turns.logits(), once.logits());
        }
    }

    @Test
    void rollbackIsAsIfTheTokensHadNeverBeenFed() {
        int[] prompt = ids(50, 3);
        int[] other = ids(4, 4);
        try (Session session = duo().rollbackMargin(12).open();
                Session fresh = duo().rollbackMargin(12).open()) {
            session.prefill(prompt);
            float[] before = session.logits();
            List<Integer> answer = generate(session, tokens(12));
            session.rollback(12);
            assertThat(session.length()).isEqualTo(50);
            assertThat(session.logits()).isEqualTo(before);
            assertThat(generate(session, tokens(12))).isEqualTo(answer);
            session.rollback(12);
            fresh.prefill(prompt);
            session.prefill(other);
            fresh.prefill(other);
            assertThat(session.logits()).isEqualTo(fresh.logits());
        }
    }

    @Test
    void rollbackPastTheMarginIsRefusedAndChangesNothing() {
        try (Session session = duo().rollbackMargin(4).open()) {
            session.prefill(ids(100, 5));
            List<Integer> more = generate(session, tokens(40));
            assertThat(more).hasSize(40);
            float[] before = session.logits();
            assertThatThrownBy(() -> session.rollback(60))
                    .isInstanceOf(DuoException.class)
                    .hasMessageContaining("rollback margin");
            assertThat(session.length()).isEqualTo(140);
            assertThat(session.logits()).isEqualTo(before);
            assertThatThrownBy(() -> session.rollback(141)).isInstanceOf(DuoException.class);
        }
    }

    @Test
    void afterARollbackIntoTheMiddleSomethingMustBePrefilled() {
        try (Session session = full().open()) {
            session.prefill(ids(20, 6));
            session.rollback(5);
            assertThatThrownBy(() -> session.generate(tokens(1)))
                    .isInstanceOf(DuoException.class)
                    .hasMessageContaining("prefill");
            session.prefill(ids(1, 7));
            assertThat(generate(session, tokens(1))).hasSize(1);
        }
    }

    @Test
    void theLogitsOfOtherTokensDoNotComeBack() {
        try (Session session = full().open()) {
            session.prefill(ids(32, 16));
            session.rollback(16);
            assertThatThrownBy(() -> session.prefill(ids(48, 17), progress -> {
                        if (progress.done() == 32) {
                            session.cancel();
                        }
                    }))
                    .isInstanceOf(CancelledException.class);
            session.rollback(16);
            // As long as after the first prefill, but half of the tokens are others.
            assertThat(session.length()).isEqualTo(32);
            assertThatThrownBy(session::logits).isInstanceOf(DuoException.class).hasMessageContaining("prefill");
        }
    }

    @Test
    void cancellationStopsAPrefillWithinOneChunkAndLosesNothing() {
        int[] prompt = ids(80, 8);
        try (Session session = full().open();
                Session whole = full().open()) {
            assertThatThrownBy(() -> session.prefill(prompt, progress -> {
                        if (progress.done() == 32) {
                            session.cancel();
                        }
                    }))
                    .isInstanceOfSatisfying(
                            CancelledException.class,
                            e -> assertThat(e.fedTokens()).isEqualTo(32));
            assertThat(session.length()).isEqualTo(32);
            session.prefill(Arrays.copyOfRange(prompt, 32, 80));
            whole.prefill(prompt);
            assertThat(session.logits()).isEqualTo(whole.logits());
        }
    }

    @Test
    void anInterruptCancels() {
        try (Session session = full().open()) {
            List<Long> seen = new ArrayList<>();
            assertThatThrownBy(() -> session.prefill(ids(64, 9), progress -> {
                        seen.add(progress.done());
                        Thread.currentThread().interrupt();
                    }))
                    .isInstanceOf(CancelledException.class);
            assertThat(Thread.interrupted()).isTrue();
            assertThat(seen).containsExactly(16L);
        }
    }

    @Test
    void aGenerationCanBeCancelled() {
        try (Session session = full().open()) {
            session.prefill(ids(8, 10));
            List<SessionEvent> events = new ArrayList<>();
            for (SessionEvent event : session.generate(tokens(50))) {
                events.add(event);
                if (events.size() == 3) {
                    session.cancel();
                }
            }
            assertThat(events).hasSize(4);
            assertThat(events.getLast())
                    .isInstanceOfSatisfying(
                            SessionEvent.Finished.class,
                            end -> assertThat(end.reason()).isEqualTo(FinishReason.CANCELLED));
        }
    }

    @Test
    void generationSaysWhyItEnded() {
        try (Session session = full().maxContext(12).open()) {
            session.prefill(ids(8, 11));
            List<SessionEvent> events = session.generate(tokens(50)).stream().toList();
            SessionEvent.Finished end = (SessionEvent.Finished) events.getLast();
            assertThat(end.reason()).isEqualTo(FinishReason.CONTEXT_FULL);
            assertThat(end.usage().newTokens()).isEqualTo(4);
        }
        try (Session session = full().open()) {
            session.prefill(ids(8, 11));
            SessionEvent.Finished end = (SessionEvent.Finished)
                    session.generate(tokens(3)).stream().toList().getLast();
            assertThat(end.reason()).isEqualTo(FinishReason.LENGTH);
            assertThat(end.usage().decodeSteps()).isEqualTo(2);
        }
    }

    @Test
    void equalSeedsGiveEqualTokens() {
        GenerationRequest request = GenerationRequest.builder()
                .maxNewTokens(20)
                .ignoreEndTokens()
                .sampling(Sampling.temperature(1.5, 42).withTopP(0.95))
                .build();
        try (Session a = full().open();
                Session b = full().open()) {
            a.prefill(ids(8, 12));
            b.prefill(ids(8, 12));
            List<Integer> tokens = generate(a, request);
            assertThat(generate(b, request)).isEqualTo(tokens);
            assertThat(tokens.stream().distinct().count()).isGreaterThan(1);
        }
    }

    @Test
    void streamingSlabsDoNotGrowAndBytesAreWhatIsAllocated() {
        long before = model.device().allocatedBytes();
        SessionPlan small = duo().maxContext(256).plan();
        SessionPlan large = duo().maxContext(512).plan();
        assertThat(model.device().allocatedBytes()).isEqualTo(before);
        try (Session session = duo().maxContext(512).open()) {
            assertThat(session.kvBytes()).isEqualTo(large.kvBytes());
            assertThat(model.device().allocatedBytes() - before).isEqualTo(large.kvBytes() + large.activationBytes());
        }
        // One of four KV heads is a retrieval head and keeps 256 tokens more; the streaming heads take what they took.
        long[] growth = IntStream.range(0, small.slabs().size())
                .mapToLong(
                        i -> large.slabs().get(i).bytes() - small.slabs().get(i).bytes())
                .toArray();
        assertThat(growth[0]).isGreaterThanOrEqualTo(256L * 2 * 8 * Float.BYTES);
        assertThat(Arrays.stream(growth).skip(1)).containsOnly(0L);
    }

    @Test
    void sessionsShareTheModelFromSeveralThreads() throws InterruptedException {
        int[] prompt = ids(90, 13);
        List<List<Integer>> answers = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            answers.add(new ArrayList<>());
        }
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            List<Integer> answer = answers.get(i);
            threads.add(Thread.ofVirtual().start(() -> {
                try (Session session = duo().open()) {
                    session.prefill(prompt);
                    answer.addAll(generate(session, tokens(8)));
                }
            }));
        }
        for (Thread thread : threads) {
            thread.join();
        }
        assertThat(answers.getFirst()).hasSize(8);
        assertThat(answers).allMatch(answer -> answer.equals(answers.getFirst()));
    }

    @Test
    void badRequestsAreRefusedWithASentence() {
        refused(() -> model.session().policy("nope").plan(), "Unknown policy 'nope'", "duo", "full", "streaming");
        refused(() -> full().sinks(4).plan(), "Policy full does not use sink or recent");
        refused(() -> full().heads(MASK).plan(), "does not use retrieval heads");
        refused(() -> full().policy("duo").plan(), "needs to know the retrieval heads");
        refused(() -> full().policyOption("x", "1").plan(), "no option 'x'");
        refused(() -> full().maxContext(0).plan(), "max-context is 0");
        refused(() -> full().chunk(-3).plan(), "chunk is -3");
        refused(() -> full().rollbackMargin(-1).plan(), "rollback-margin is -1");
        refused(() -> duo().sinks(-1).plan(), "sink is -1");
        refused(() -> duo().recent(0).plan(), "recent is 0");
        refused(() -> duo().sinks(200).recent(100).plan(), "sink 200 + recent 100", "256");
        refused(() -> duo().heads(HeadMask.of(4, List.of(HeadSet.of(3)))).plan(), "1 layers x 4 KV heads", "2 x 2");
        refused(() -> full().heads("pattern", Map.of("directory", "/nonexistent")), "/nonexistent");
    }

    @Test
    void badTokensAreRefusedBeforeAnythingIsFed() {
        try (Session session = full().open()) {
            refused(() -> session.prefill(new int[0]), "The prompt is empty");
            refused(() -> session.prefill(new int[] {5, TinyCheckpoint.VOCABULARY}), "Token id 64 at index 1");
            refused(() -> session.prefill(new int[] {-1}), "Token id -1");
            refused(() -> session.prefill(ids(257, 14)), "257 tokens", "256");
            refused(() -> session.generate(tokens(1)), "prefill a prompt first");
            refused(() -> session.prefill("text"), "no tokenizer;", "tokenizer.json");
            refused(
                    () -> {
                        session.prefill(ids(3, 15));
                        session.generate(GenerationRequest.builder().stop("x").build());
                    },
                    "Stop strings need a tokenizer");
            assertThat(session.length()).isEqualTo(3);
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {Integer.MAX_VALUE, 1L << 40})
    void aContextBeyondMemoryIsRefusedWithTheByteCounts(long context) {
        long before = model.device().allocatedBytes();
        SessionBuilder builder =
                model.session().kv(BlockFormat.F32).maxContext(context).chunk(16);
        long bytes = builder.plan().kvBytes();
        // Two layers of two KV heads, keys and values of 8 floats each; the device keeps positions besides.
        assertThat(bytes).isGreaterThanOrEqualTo(context * 2 * 2 * 2 * 8 * 4);
        refused(builder::open, "A context of " + context, Long.toString(bytes), "are available");
        assertThat(model.device().allocatedBytes()).isEqualTo(before);
    }

    @Test
    void useAfterCloseIsAnError() {
        Session session = full().open();
        session.close();
        session.close();
        assertThatThrownBy(() -> session.prefill(ids(1, 1))).isInstanceOf(IllegalStateException.class);
        model.close();
        assertThatThrownBy(() -> full().open()).isInstanceOf(IllegalStateException.class);
    }

    private static void refused(Runnable action, String... parts) {
        assertThatThrownBy(action::run)
                .isInstanceOf(DuoException.class)
                .message()
                .contains(parts)
                .doesNotContain("\n");
    }
}
