package org.duoattention.examples.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.core.cache.HybridCache;
import org.duoattention.core.cache.KvType;
import org.duoattention.core.load.Checkpoint;
import org.duoattention.core.model.Activations;
import org.duoattention.core.model.DecoderWeights;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.model.ModelTensors;
import org.duoattention.core.session.Duo;
import org.duoattention.core.session.Model;
import org.duoattention.core.session.Planner;
import org.duoattention.core.session.Session;
import org.duoattention.core.session.SessionPlan;
import org.duoattention.examples.cli.synthetic.EvenHeads;
import org.duoattention.examples.cli.synthetic.RandomWeights;
import org.duoattention.examples.cli.synthetic.Shapes;
import org.duoattention.examples.cli.synthetic.WeightFormat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;

/** A plan is what allocation then takes, to the byte. */
class PlanCommandTest {
    private static final int CHUNK = 128;

    @TempDir
    Path directory;

    private static JsonNode plan(String options) {
        List<String> args = new ArrayList<>(List.of("plan", "--json", "-"));
        args.addAll(List.of(options.split(" ")));
        return Cli.run(args.toArray(String[]::new)).ok().json();
    }

    private static long sum(JsonNode bytes) {
        long sum = 0;
        for (JsonNode part : bytes) {
            sum += part.asLong();
        }
        return sum;
    }

    @ParameterizedTest
    @CsvSource({"full, 1", "duo, 0.5", "duo, 0.25", "streaming, 0"})
    void aSessionOfAModelTakesWhatWasPlanned(String policy, double retrieval) {
        long memory = 48 << 20;
        JsonNode json = plan("--model " + Cli.NANO + " --memory 48MiB --chunk " + CHUNK + " --policy " + policy
                + (policy.equals("duo") ? " --retrieval " + retrieval : ""));
        JsonNode bytes = json.path("bytes");
        long tokens = json.path("maxTokens").asLong();
        try (Model model = Duo.create().model(Cli.NANO).open()) {
            assertThat(model.weights().totalBytes())
                    .isEqualTo(bytes.path("weights").asLong());
            long idle = model.device().allocatedBytes();
            assertThat(idle).isEqualTo(bytes.path("other").asLong());
            var builder = model.session().policy(policy).chunk(CHUNK).maxContext(tokens);
            if (policy.equals("duo")) {
                builder.heads(EvenHeads.mask(model.shape(), retrieval));
            }
            try (Session session = builder.open()) {
                assertThat(session.kvBytes())
                        .isEqualTo(bytes.path("retrievalKv").asLong()
                                + bytes.path("streamingKv").asLong());
                assertThat(model.device().allocatedBytes())
                        .isEqualTo(sum(bytes) - bytes.path("weights").asLong());
            }
        }
        assertThat(sum(bytes)).isLessThanOrEqualTo(memory);
    }

    @ParameterizedTest
    @CsvSource({"full, 1, f16", "duo, 0.5, bf16", "duo, 0.25, f32"})
    void theLongestContextFitsAndALongerOneDoesNot(String policy, double retrieval, String kv) {
        long memory = 2600L << 20;
        JsonNode json = plan("--shape llama-3.2-1b --memory 2600MiB --kv " + kv + " --policy " + policy
                + (policy.equals("duo") ? " --retrieval " + retrieval : ""));
        JsonNode bytes = json.path("bytes");
        long tokens = json.path("maxTokens").asLong();
        ModelConfig config = Shapes.of("llama-3.2-1b");
        WeightFormat format = WeightFormat.of("f16").orElseThrow();
        // 1,235,814,400 parameters, as published.
        assertThat(bytes.path("weights").asLong()).isEqualTo(2 * 1_235_814_400L);
        assertThat(sum(bytes)).isLessThanOrEqualTo(memory);
        try (Planner planner = Duo.create()
                .planner(config, format.requirements("shape", config, BlockFormat.F16), Optional.empty(), Map.of())) {
            var builder = planner.session()
                    .policy(policy)
                    .kv(KvType.parse(kv).format(config.shape().headDim()));
            if (policy.equals("duo")) {
                builder.heads(EvenHeads.mask(config.shape(), retrieval));
            }
            SessionPlan longest = builder.maxContext(tokens).plan();
            try (HybridCache cache = HybridCache.allocate(planner.device(), longest.cache());
                    Activations scratch = new Activations(
                            planner.device(), config.shape(), longest.options().chunk());
                    Tensor logits = planner.device()
                            .allocate(TensorSpec.of(DType.F32, 1, config.shape().vocabSize()))) {
                assertThat(scratch.maxChunk()).isPositive();
                assertThat(logits.spec().rank()).isEqualTo(2);
                assertThat(cache.bytes())
                        .isEqualTo(bytes.path("retrievalKv").asLong()
                                + bytes.path("streamingKv").asLong());
                assertThat(planner.device().allocatedBytes())
                        .isEqualTo(sum(bytes) - bytes.path("weights").asLong());
            }
            SessionPlan longer = builder.maxContext(tokens + 1).plan();
            assertThat(longer.kvBytes() + longer.activationBytes())
                    .isGreaterThan(memory - bytes.path("weights").asLong());
        }
    }

    /** Half of the heads leave a little more than half of the bytes, a quarter a little more than a quarter. */
    @ParameterizedTest
    @CsvSource({"0.5, 1.98", "0.25, 3.9"})
    void streamingHeadsShrinkACacheOf128KTokens(double retrieval, double factor) {
        ModelConfig config = Shapes.of("llama-3.2-1b");
        WeightFormat format = WeightFormat.of("int4").orElseThrow();
        try (Planner planner = Duo.create()
                .planner(config, format.requirements("shape", config, BlockFormat.F16), Optional.empty(), Map.of())) {
            var builder = planner.session().maxContext(131_072);
            long full = builder.policy("full").plan().kvBytes();
            long duo = builder.policy("duo")
                    .heads(EvenHeads.mask(config.shape(), retrieval))
                    .plan()
                    .kvBytes();
            assertThat((double) full / duo).isBetween(factor, 1 / retrieval);
        }
    }

    /** Norms and the embedding stay BF16 and are read where they lie; the rest is what the device holds when idle. */
    @Test
    void aQuantisedModelWithTwoKindsOfCacheTakesWhatWasPlanned() {
        Path quantised = directory.resolve("quantised");
        Cli.run(
                        "quantize",
                        "--model",
                        Cli.NANO.toString(),
                        "--weights",
                        "int4",
                        "--asymmetric",
                        "--quiet",
                        "--out",
                        quantised.toString())
                .ok();
        JsonNode json = plan("--model " + quantised + " --memory 24MiB --chunk " + CHUNK
                + " --retrieval 0.5 --kv int4 --streaming-kv f16");
        JsonNode bytes = json.path("bytes");
        assertThat(json.path("kv").asString()).isEqualTo("int4");
        assertThat(json.path("streamingKv").asString()).isEqualTo("f16");
        assertThat(bytes.path("streamingKv").asLong()).isPositive();
        try (Model model = Duo.create().model(quantised).open()) {
            long dense = 2 * (1024 * 128 + 9 * 128);
            assertThat(model.device().allocatedBytes() + dense)
                    .isEqualTo(
                            bytes.path("weights").asLong() + bytes.path("other").asLong());
            int headDim = model.shape().headDim();
            try (Session session = model.session()
                    .policy("duo")
                    .heads(EvenHeads.mask(model.shape(), 0.5))
                    .kv(KvType.parse("int4").format(headDim))
                    .streamingKv(KvType.parse("f16").format(headDim))
                    .chunk(CHUNK)
                    .maxContext(json.path("maxTokens").asLong())
                    .open()) {
                assertThat(session.kvBytes())
                        .isEqualTo(bytes.path("retrievalKv").asLong()
                                + bytes.path("streamingKv").asLong());
                assertThat(model.device().allocatedBytes() + dense).isEqualTo(sum(bytes));
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"int8", "int4"})
    void quantisedWeightsTakeWhatWasPlanned(String weights) {
        Path shape = Cli.NANO.resolve("config.json");
        JsonNode json = plan("--shape " + shape + " --memory 48MiB --weights " + weights);
        ModelConfig config = Shapes.of(shape.toString());
        WeightFormat format = WeightFormat.of(weights).orElseThrow();
        try (Planner planner = Duo.create()
                        .planner(
                                config,
                                format.requirements("shape", config, BlockFormat.F16),
                                Optional.empty(),
                                Map.of());
                RandomWeights source = new RandomWeights(config, format);
                DecoderWeights loaded = new DecoderWeights(planner.device(), source, config)) {
            assertThat(loaded).isNotNull();
            // Norms stay in F16 and are read where they lie: 9 of width 128.
            assertThat(planner.device().allocatedBytes() + 2 * 9 * 128)
                    .isEqualTo(json.path("bytes").path("weights").asLong());
        }
    }

    @Test
    void halfTheRetrievalHeadsReachAboutTwiceAsFar() {
        String common = "--shape llama-3-8b --memory 24GiB";
        long full = plan(common).path("maxTokens").asLong();
        long half = plan(common + " --retrieval 0.5").path("maxTokens").asLong();
        assertThat((double) half / full).isBetween(1.95, 2.0);
    }

    @Test
    void theTensorsOfAShapeAreThoseOfItsCheckpoint() {
        try (Checkpoint checkpoint = Checkpoint.open(Cli.NANO)) {
            Map<String, List<Long>> wanted = ModelTensors.of(ModelConfig.read(Cli.NANO)).stream()
                    .collect(Collectors.toMap(ModelTensors.Entry::name, ModelTensors.Entry::shape));
            assertThat(new TreeSet<>(wanted.keySet())).isEqualTo(new TreeSet<>(checkpoint.names()));
            wanted.forEach((name, shape) -> assertThat(
                            checkpoint.find(name).orElseThrow().spec().shape())
                    .as(name)
                    .isEqualTo(shape));
        }
    }

    @ParameterizedTest
    @CsvSource({"llama-3.2-1b, 1235814400", "llama-3-8b, 8030261248", "llama-2-7b, 6738415616"})
    void knownShapesHaveThePublishedNumberOfParameters(String shape, long parameters) {
        assertThat(ModelTensors.of(Shapes.of(shape)).stream()
                        .mapToLong(ModelTensors.Entry::elements)
                        .sum())
                .isEqualTo(parameters);
    }

    @ParameterizedTest
    @ValueSource(doubles = {0, 0.01, 0.25, 0.5, 0.6, 1})
    void retrievalHeadsAreSpreadEvenly(double share) {
        var shape = Shapes.of("llama-3-8b").shape();
        var mask = EvenHeads.mask(shape, share);
        assertThat(mask.retrievalCount()).isEqualTo(Math.round(share * 256));
        for (int layer = 0; layer < shape.layers(); layer++) {
            assertThat(Math.abs(mask.retrieval(layer).size() - share * shape.kvHeads()))
                    .isLessThanOrEqualTo(1);
        }
    }

    @ParameterizedTest
    @CsvSource({
        "hidden_size, , hidden_size",
        "num_hidden_layers, 0, num_hidden_layers",
        "num_attention_heads, -4, num_attention_heads",
        "vocab_size, 1e99, vocab_size",
        "intermediate_size, \"many\", intermediate_size",
        "num_key_value_heads, 3, num_key_value_heads",
        "hidden_size, 99999999999, hidden_size"
    })
    void anAbsurdShapeIsRefused(String key, String value, String named) throws IOException {
        String config = Files.readString(Cli.NANO.resolve("config.json"))
                .replaceAll("\"" + key + "\": [^,\n]*,?", value == null ? "" : "\"" + key + "\": " + value + ",");
        Path file = Files.writeString(directory.resolve("shape.json"), config);
        assertThat(Cli.run("plan", "--shape", file.toString(), "--memory", "1GiB")
                        .sentence())
                .contains("shape.json", named);
    }

    @Test
    void extentsWhoseProductCannotBeCountedAreRefused() throws IOException {
        Path file = Files.writeString(directory.resolve("shape.json"), """
                {"model_type": "llama", "hidden_size": 16777216, "intermediate_size": 16777216, "head_dim": 256,
                 "num_hidden_layers": 10000, "num_attention_heads": 65536, "vocab_size": 16777216}
                """);
        assertThat(Cli.run("plan", "--shape", file.toString(), "--memory", "1GiB")
                        .sentence())
                .contains("shape.json", "weights");
        assertThat(Cli.run("bench", "--shape", file.toString()).sentence()).contains("shape.json", "weights");
    }

    @Test
    void aShapeMayComeFromAFile() {
        JsonNode file = plan("--shape " + Cli.NANO.resolve("config.json") + " --memory 48MiB --weights bf16");
        JsonNode model = plan("--model " + Cli.NANO + " --memory 48MiB");
        assertThat(file.path("maxTokens")).isEqualTo(model.path("maxTokens"));
        assertThat(file.path("bytes")).isEqualTo(model.path("bytes"));
    }
}
