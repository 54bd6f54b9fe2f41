package org.duoattention.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.head.HeadMask;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.backend.cuda.kernel.DirectoryImages;
import org.duoattention.core.session.Duo;
import org.duoattention.core.session.GenerationRequest;
import org.duoattention.core.session.Model;
import org.duoattention.core.session.Session;
import org.duoattention.core.session.SessionEvent;
import org.duoattention.core.spi.Backends;
import org.duoattention.core.spi.ProviderRegistry;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/**
 * Whole models on the emulated driver against the answers of independent implementations, with products in F32 as on the
 * CPU: logits, and the same greedy tokens. Short prompts only, because the emulation is slow.
 */
@Execution(ExecutionMode.CONCURRENT)
class KnownAnswersEmulationTest {
    private static final double LOGIT_BOUND = 1e-3;
    private static final int LONGEST_PROMPT = 150;

    @ParameterizedTest
    @ValueSource(
            strings = {
                "qwen3",
                "mistral",
                "llama-bias",
                "llama-gqa",
                "llama-mha-f16",
                "llama31-rope",
                "qwen2-bias",
                "nano-retrieval"
            })
    void logitsAndGreedyTokensAreThoseOfTheReference(String name) {
        Path directory = directory(name);
        JsonNode expected = JsonMapper.shared().readTree(directory.resolve("expected.json"));
        int runs = 0;
        try (Model model = open(directory, name)) {
            for (JsonNode prompt : expected.get("prompts")) {
                int[] ids = ints(prompt.get("ids"));
                if (ids.length <= LONGEST_PROMPT) {
                    try (Session session = model.session()
                            .kv(BlockFormat.F32)
                            .chunk(Math.min(32, ids.length))
                            .maxContext(ids.length + prompt.get("greedy").size())
                            .open()) {
                        check(session, ids, prompt);
                    }
                    runs++;
                }
            }
            for (JsonNode run : expected.get("duo")) {
                int[] ids = ints(run.get("ids"));
                if (ids.length <= LONGEST_PROMPT) {
                    try (Session session = model.session()
                            .policy("duo")
                            .heads(mask(run.get("mask")))
                            .sinks(run.get("sink").intValue())
                            .recent(run.get("recent").intValue())
                            .kv(BlockFormat.F32)
                            .chunk(run.get("chunk").intValue())
                            .maxContext(ids.length + run.get("greedy").size())
                            .open()) {
                        check(session, ids, run);
                    }
                    runs++;
                }
            }
        }
        assertThat(runs).isPositive();
    }

    private static Model open(Path directory, String name) {
        AttentionBackend backend =
                new CudaBackend(EmulatedDriver.library().toString(), new DirectoryImages(EmulatedDriver.kernels()));
        Duo duo = new Duo(
                new Backends(ProviderRegistry.of("backend", List.of(backend), AttentionBackend::id)),
                Duo.loadPolicies(),
                Duo.loadHeadMaskSources());
        // The frequencies' precision that the answers were computed with.
        DType precision = switch (name) {
            case "llama-mha-f16" -> DType.F16;
            case "llama-gqa", "llama31-rope", "qwen2-bias" -> DType.BF16;
            default -> DType.F32;
        };
        return duo.model(directory)
                .backendOption("activations", "exact")
                .backendOption("libraries", "none")
                .ropePrecision(precision)
                .open();
    }

    private static void check(Session session, int[] ids, JsonNode answer) {
        session.prefill(ids);
        float[] logits = session.logits();
        JsonNode expected = answer.get("logits_last");
        assertThat(logits).hasSize(expected.size());
        for (int i = 0; i < logits.length; i++) {
            assertThat((double) logits[i])
                    .as("logit %d after %d tokens", i, ids.length)
                    .isCloseTo(expected.get(i).doubleValue(), within(LOGIT_BOUND));
        }
        List<Integer> tokens = new ArrayList<>();
        GenerationRequest request = GenerationRequest.builder()
                .maxNewTokens(answer.get("greedy").size())
                .ignoreEndTokens()
                .build();
        for (SessionEvent event : session.generate(request)) {
            if (event instanceof SessionEvent.Token token) {
                tokens.add(token.id());
            }
        }
        assertThat(tokens.stream().mapToInt(Integer::intValue).toArray()).isEqualTo(ints(answer.get("greedy")));
    }

    private static int[] ints(JsonNode node) {
        return Stream.iterate(0, i -> i < node.size(), i -> i + 1)
                .mapToInt(i -> node.get(i).intValue())
                .toArray();
    }

    private static HeadMask mask(JsonNode node) {
        List<HeadSet> layers = new ArrayList<>();
        for (JsonNode row : node) {
            layers.add(HeadSet.of(Stream.iterate(0, head -> head < row.size(), head -> head + 1)
                    .filter(head -> row.get(head).intValue() == 1)
                    .mapToInt(Integer::intValue)
                    .toArray()));
        }
        return HeadMask.of(node.get(0).size(), layers);
    }

    /** The project's own checkpoints are among the resources of the core's tests; the others are not in the repository. */
    private static Path directory(String name) {
        Path own = EmulatedDriver.module().resolve("../duo-core/src/test/resources/checkpoints/" + name);
        if (Files.isDirectory(own)) {
            return own;
        }
        String shared = System.getProperty(
                "duo.shared", EmulatedDriver.module().resolve("../../shared").toString());
        Path directory = Path.of(shared, "models", name);
        assumeTrue(Files.isDirectory(directory), () -> "skipped: the checkpoint " + directory + " is not there");
        return directory;
    }
}
