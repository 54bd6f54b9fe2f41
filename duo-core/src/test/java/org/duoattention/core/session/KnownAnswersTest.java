package org.duoattention.core.session;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.tck.AssertingBackend;
import org.duoattention.tck.OpaqueBackend;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Logits and greedy tokens of every checkpoint against independent implementations, through every backend. The float64
 * device whose memory the host cannot read runs under the decorator that asserts order, shapes and ownership.
 */
class KnownAnswersTest {
    private static final double LOGIT_BOUND = 1e-3;
    /** Others by the system property {@code duo.test.backends}, for example on a machine with a GPU. */
    private static final List<String> BACKENDS = List.of(
            System.getProperty("duo.test.backends", "opaque,cpu-scalar,cpu").split(","));

    static Stream<Arguments> modelsAndBackends() {
        return KnownModels.NAMES.stream()
                .flatMap(model -> BACKENDS.stream().map(backend -> Arguments.of(model, backend)));
    }

    @ParameterizedTest(name = "{0} on {1}")
    @MethodSource("modelsAndBackends")
    void fullAttentionMatches(String name, String backend) {
        ExpectedAnswers expected = ExpectedAnswers.read(KnownModels.directory(name));
        AssertingBackend opaque = new AssertingBackend(new OpaqueBackend());
        int comparisons = 0;
        try (Model model = open(name, backend, opaque)) {
            for (ExpectedAnswers.Full prompt : expected.prompts()) {
                if (isTooLong(backend, prompt.ids())) {
                    continue;
                }
                for (int chunk : chunks(backend, prompt.ids().length)) {
                    try (Session session = model.session()
                            .kv(BlockFormat.F32)
                            .chunk(chunk)
                            .maxContext(prompt.ids().length + prompt.greedy().length)
                            .open()) {
                        check(session, prompt.ids(), prompt.logits(), prompt.greedy(), "chunk " + chunk);
                        comparisons++;
                    }
                }
            }
        }
        assertThat(comparisons).as("comparisons").isPositive();
        opaque.assertClosed();
    }

    @ParameterizedTest(name = "{0} on {1}")
    @MethodSource("modelsAndBackends")
    void duoAttentionMatches(String name, String backend) {
        ExpectedAnswers expected = ExpectedAnswers.read(KnownModels.directory(name));
        AssertingBackend opaque = new AssertingBackend(new OpaqueBackend());
        int comparisons = 0;
        try (Model model = open(name, backend, opaque)) {
            for (ExpectedAnswers.Streaming run : expected.duo()) {
                if (isTooLong(backend, run.ids())) {
                    continue;
                }
                try (Session session = duo(model, run).chunk(run.chunk()).open()) {
                    check(
                            session,
                            run.ids(),
                            run.logits(),
                            run.greedy(),
                            "sinks " + run.sinks() + " chunk " + run.chunk());
                    comparisons++;
                }
            }
        }
        assertThat(comparisons).as("comparisons").isPositive();
        opaque.assertClosed();
    }

    @ParameterizedTest(name = "{0} on {1}")
    @MethodSource("modelsAndBackends")
    void windowModeDoesNotDependOnTheChunk(String name, String backend) {
        ExpectedAnswers expected = ExpectedAnswers.read(KnownModels.directory(name));
        try (Model model = open(name, backend, new AssertingBackend(new OpaqueBackend()))) {
            // With chunks of one token both modes are the same, so the independent answers of these runs apply.
            List<ExpectedAnswers.Streaming> runs = expected.duo().stream()
                    .filter(run -> run.chunk() == 1 && !isTooLong(backend, run.ids()))
                    .toList();
            assumeFalse(runs.isEmpty(), () -> "skipped: " + name + " has no answers of chunks of 1 for " + backend);
            for (ExpectedAnswers.Streaming run : runs) {
                for (int chunk : chunks(backend, run.ids().length)) {
                    try (Session session = duo(model, run)
                            .prefillMode(PrefillMode.WINDOW)
                            .chunk(chunk)
                            .open()) {
                        check(session, run.ids(), run.logits(), run.greedy(), "window mode, chunk " + chunk);
                    }
                }
            }
        }
    }

    private static Model open(String name, String backend, AssertingBackend opaque) {
        Duo duo = backend.equals("opaque") ? TestDuo.with(opaque) : Duo.create();
        return duo.model(KnownModels.directory(name))
                .backend(backend)
                .ropePrecision(KnownModels.ropePrecision(name))
                .open();
    }

    private static SessionBuilder duo(Model model, ExpectedAnswers.Streaming run) {
        return model.session()
                .policy("duo")
                .heads(run.mask())
                .sinks(run.sinks())
                .recent(run.recent())
                .kv(BlockFormat.F32)
                .maxContext(run.ids().length + run.greedy().length);
    }

    /**
     * The float64 device is slow; long prompts add nothing to what it is there for: to show that the core never peeks.
     * The scalar backend is slow too, and leaves out the very longest.
     */
    private static boolean isTooLong(String backend, int[] ids) {
        return backend.equals("opaque") && ids.length > 150 || backend.equals("cpu-scalar") && ids.length > 700;
    }

    /** The scalar backend's long prompts run in one chunk size. */
    private static int[] chunks(String backend, int tokens) {
        return backend.equals("opaque") || backend.equals("cpu-scalar") && tokens > 300
                ? new int[] {32}
                : new int[] {1, 7, 32, tokens};
    }

    static void check(Session session, int[] ids, float[] logits, int[] greedy, String what) {
        session.prefill(ids);
        float[] actual = session.logits();
        assertThat(actual).as(what).hasSize(logits.length);
        for (int i = 0; i < logits.length; i++) {
            assertThat((double) actual[i]).as("%s, logit %d", what, i).isCloseTo(logits[i], within(LOGIT_BOUND));
        }
        List<Integer> tokens = new ArrayList<>();
        GenerationRequest request = GenerationRequest.builder()
                .maxNewTokens(greedy.length)
                .ignoreEndTokens()
                .build();
        for (SessionEvent event : session.generate(request)) {
            if (event instanceof SessionEvent.Token token) {
                tokens.add(token.id());
            }
        }
        assertThat(tokens)
                .as(what)
                .containsExactlyElementsOf(Arrays.stream(greedy).boxed().toList());
    }
}
