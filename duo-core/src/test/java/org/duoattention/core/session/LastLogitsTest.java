package org.duoattention.core.session;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.MemorySegment;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Probe;
import org.duoattention.api.backend.Requirements;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.core.DuoException;
import org.duoattention.core.sample.Sampler;
import org.duoattention.core.sample.Sampling;
import org.duoattention.tck.OpaqueBackend;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** A session brings as many logits to the host as are needed, and its tokens do not depend on how many. */
class LastLogitsTest {
    private static final int[] PROMPT = {5, 9, 17, 30, 4, 8, 8, 50};
    private static final int STEPS = 12;

    private final OpaqueBackend backend = new OpaqueBackend();
    /** What crossed from the device to the host: "all", or the number of the highest. */
    private final List<String> transfers = new ArrayList<>();

    private boolean noNumbers;
    private Model model;

    @BeforeEach
    void open(@TempDir Path directory) {
        model = TestDuo.with(new Watched())
                .model(TinyCheckpoint.write(directory))
                .open();
    }

    @AfterEach
    void nothingIsLeft() {
        model.close();
        backend.assertClosed();
    }

    private Session session() {
        return model.session().kv(BlockFormat.F32).maxContext(64).chunk(8).open();
    }

    private static GenerationRequest request(Sampling sampling, int tokens) {
        return GenerationRequest.builder()
                .sampling(sampling)
                .maxNewTokens(tokens)
                .ignoreEndTokens()
                .build();
    }

    private static List<Integer> generate(Session session, Sampling sampling, int count) {
        List<Integer> tokens = new ArrayList<>();
        for (SessionEvent event : session.generate(request(sampling, count))) {
            if (event instanceof SessionEvent.Token token) {
                tokens.add(token.id());
            }
        }
        return tokens;
    }

    /** The tokens by the whole rows of logits. */
    private List<Integer> byAllLogits(Sampling sampling) {
        List<Integer> tokens = new ArrayList<>();
        Sampler sampler = new Sampler(sampling);
        BitSet seen = new BitSet();
        try (Session session = session()) {
            session.prefill(PROMPT);
            for (int id : PROMPT) {
                seen.set(id);
            }
            for (int i = 0; i < STEPS; i++) {
                int id = sampler.next(session.logits(), seen);
                seen.set(id);
                tokens.add(id);
                session.prefill(new int[] {id});
            }
        }
        return tokens;
    }

    static Stream<Sampling> samplings() {
        return Stream.iterate(0L, seed -> seed + 1).limit(5).flatMap(seed -> {
            Sampling warm = Sampling.temperature(2, seed);
            return Stream.of(
                    Sampling.greedy(),
                    warm,
                    warm.withTopK(1),
                    warm.withTopK(7),
                    warm.withTopK(7).withTopP(0.6),
                    warm.withTopK(20).withMinP(0.3),
                    warm.withTopK(20).withTopP(0.9).withMinP(0.1),
                    warm.withTopK(5000),
                    warm.withTopP(0.7),
                    warm.withMinP(0.2),
                    warm.withTopK(7).withRepetitionPenalty(1.4),
                    Sampling.greedy().withRepetitionPenalty(1.4));
        });
    }

    @ParameterizedTest
    @MethodSource("samplings")
    void tokensAreThoseOfAllLogits(Sampling sampling) {
        List<Integer> expected = byAllLogits(sampling);
        transfers.clear();
        try (Session session = session()) {
            session.prefill(PROMPT);
            assertThat(generate(session, sampling, STEPS)).isEqualTo(expected);
        }
        int k = new Sampler(sampling).highest(TinyCheckpoint.VOCABULARY);
        // The first token is chosen from the row that the prefill left, which a rollback may need.
        assertThat(transfers).hasSize(STEPS);
        assertThat(transfers.getFirst()).isEqualTo("all");
        assertThat(transfers.subList(1, STEPS)).containsOnly(k == 0 ? "all" : Integer.toString(k));
    }

    @Test
    void moreThanTheMostThatADeviceSelectsAreAll() {
        try (Device device = backend.open(Map.of());
                LastLogits logits = new LastLogits(device, new ModelShape(1, 8, 1, 1, 8, 8, 5000))) {
            Sampling sampling = Sampling.temperature(1, 0);
            assertThat(logits.wanted(new Sampler(sampling.withTopK(ComputeStream.MAX_TOP_K))))
                    .isEqualTo(ComputeStream.MAX_TOP_K);
            assertThat(logits.wanted(new Sampler(sampling.withTopK(ComputeStream.MAX_TOP_K + 1))))
                    .isEqualTo(LastLogits.ALL);
        }
    }

    /** A session after a greedy answer whose last token, which was not fed, is taken back: one logit is on the host. */
    private Session answered() {
        Session session = session();
        session.prefill(PROMPT);
        generate(session, Sampling.greedy(), STEPS);
        session.rollback(1);
        return session;
    }

    private float[] expected(int[] tokens) {
        try (Session session = session()) {
            session.prefill(PROMPT);
            for (int i = PROMPT.length; i < tokens.length; i++) {
                session.prefill(new int[] {tokens[i]});
            }
            return session.logits();
        }
    }

    @Test
    void theOthersComeWhenTheyAreAskedForAfterOtherSessionsWorked() {
        try (Session session = answered();
                Session other = session()) {
            other.prefill(new int[] {3, 4});
            generate(other, Sampling.greedy(), 3);
            assertThat(session.logits()).isEqualTo(expected(session.tokens()));
            assertThat(transfers).contains("1");
        }
    }

    @Test
    void anotherGenerationMayLookAtMore() {
        Sampling sampling = Sampling.temperature(2, 4).withTopK(9);
        try (Session session = answered()) {
            float[] logits = expected(session.tokens());
            int first = new Sampler(sampling).next(logits, new BitSet());
            assertThat(generate(session, sampling, 1)).containsExactly(first);
            session.rollback(1);
            int likeliest = new Sampler(Sampling.greedy()).next(logits, new BitSet());
            assertThat(generate(session, Sampling.greedy(), 1)).containsExactly(likeliest);
        }
    }

    @Test
    void savedSessionsHaveThemAll(@TempDir Path directory) {
        Path file = directory.resolve("session");
        try (Session session = answered();
                Session restored = session()) {
            session.save(file, true);
            restored.restore(SavedSession.read(file));
            assertThat(restored.logits()).isEqualTo(expected(session.tokens()));
        }
    }

    @Test
    void rollbackToThePromptBringsBackItsLogits() {
        try (Session session = session()) {
            session.prefill(PROMPT);
            float[] logits = session.logits();
            List<Integer> tokens = generate(session, Sampling.greedy(), STEPS);
            session.rollback(STEPS);
            assertThat(session.logits()).isEqualTo(logits);
            assertThat(generate(session, Sampling.greedy(), STEPS)).isEqualTo(tokens);
        }
    }

    @Test
    void logitsThatAreNoNumbersAreRefusedAlike() {
        Sampling some = Sampling.temperature(1, 0).withTopK(5);
        for (Sampling sampling : List.of(Sampling.greedy(), some, some.withTopK(0))) {
            try (Session session = session()) {
                session.prefill(PROMPT);
                Generation generation = session.generate(request(sampling, STEPS));
                assertThat(generation.next()).isInstanceOf(SessionEvent.Token.class);
                noNumbers = true;
                assertThatThrownBy(() -> generation.stream().toList())
                        .as("%s", sampling)
                        .isInstanceOf(DuoException.class)
                        .hasMessageStartingWith("The model's logits are not numbers (NaN for token 2)");
                noNumbers = false;
            }
        }
    }

    /** The opaque backend with streams that note what goes to the host. */
    private final class Watched implements AttentionBackend {
        @Override
        public String id() {
            return backend.id();
        }

        @Override
        public Probe probe(Requirements requirements) {
            return backend.probe(requirements);
        }

        @Override
        public Device open(Map<String, String> options) {
            return watch(Device.class, backend.open(options));
        }
    }

    private <T> T watch(Class<T> type, Object target) {
        return type.cast(Proxy.newProxyInstance(
                type.getClassLoader(), new Class<?>[] {type}, (proxy, method, arguments) -> {
                    if (method.getName().equals("topK")) {
                        spoil((ComputeStream) target, (Tensor) arguments[0]);
                        transfers.add(arguments[1].toString());
                    } else if (method.getName().equals("download")) {
                        spoil((ComputeStream) target, (Tensor) arguments[0]);
                        transfers.add("all");
                    }
                    try {
                        Object result = method.invoke(target, arguments);
                        return result instanceof ComputeStream ? watch(ComputeStream.class, result) : result;
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                }));
    }

    private void spoil(ComputeStream stream, Tensor logits) {
        if (noNumbers) {
            float[] row = new float[TinyCheckpoint.VOCABULARY];
            row[2] = Float.NaN;
            row[5] = Float.NaN;
            row[7] = Float.POSITIVE_INFINITY;
            stream.upload(MemorySegment.ofArray(row), logits);
        }
    }
}
