package org.duoattention.examples.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.session.Planner;
import org.duoattention.examples.cli.synthetic.Shapes;
import org.duoattention.examples.cli.synthetic.WeightFormat;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

/** The shape of the results, not the speed. */
class BenchCommandTest {
    /** Two layers of 4 query and 2 KV heads of width 16. */
    private static final String SHAPE = """
            {"model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
             "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 320,
             "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 256}
            """;

    private static final int DECODED = 2;

    @TempDir
    Path directory;

    private Path shape;

    @BeforeEach
    void write() throws IOException {
        shape = Files.writeString(directory.resolve("tiny.json"), SHAPE);
    }

    private Cli.Result bench(String options) {
        List<String> args = new ArrayList<>(List.of(
                "bench",
                "--shape",
                shape.toString(),
                "--quiet",
                "--tokens",
                "" + DECODED,
                "--repeats",
                "1",
                "--chunk",
                "8"));
        args.addAll(List.of(options.split(" ")));
        return Cli.run(args.toArray(String[]::new));
    }

    @Test
    void everyPolicyIsMeasuredAtEveryDepth() {
        JsonNode json = bench("--policies full,duo --sink 4 --recent 8 --depths 0,40 --prefill 24,16+8 --json -")
                .ok()
                .json();
        JsonNode machine = json.path("machine");
        assertThat(machine.path("readBandwidthGBps").asDouble()).isPositive();
        assertThat(machine.path("peakGflops").asDouble()).isPositive();
        assertThat(machine.path("cpu").asString()).isNotBlank();
        assertThat(json.path("rows")).hasSize(2 * (2 + 2));
        for (JsonNode row : json.path("rows")) {
            assertThat(row.path("engine").asString()).isEqualTo("duo");
            assertThat(row.path("shape").asString()).isEqualTo("tiny.json");
            assertThat(row.path("weights").asString()).isEqualTo("f16");
            assertThat(row.path("kv").asString()).isEqualTo("f16");
            assertThat(row.path("tokensPerSecond").asDouble()).isPositive();
            assertThat(row.path("gigabytesPerSecond").asDouble()).isPositive();
            assertThat(row.path("boundShare").asDouble()).isPositive();
            assertThat(row.path("retrieval").asDouble())
                    .isEqualTo(row.path("policy").asString().equals("duo") ? 0.5 : 1);
            // Two tables and per layer q, o; k, v; gate, up, down; 5 norms.
            long parameters = 2L * 320 * 64 + 2 * (2L * 64 * 64 + 2L * 32 * 64 + 3L * 64 * 96) + 5 * 64;
            assertThat(row.path("weightBytes").asLong()).isEqualTo(2 * parameters);
        }
        JsonNode decode = json.path("rows").get(6);
        assertThat(decode.path("phase").asString()).isEqualTo("decode");
        assertThat(decode.path("depth").asInt()).isEqualTo(40);
        JsonNode duo = json.path("rows").get(7);
        assertThat(duo.path("policy").asString()).isEqualTo("duo");
        assertThat(duo.path("kvBytes").asLong())
                .isLessThan(decode.path("kvBytes").asLong());
    }

    /** Bytes per second of a decode step are of the weights but the table, and of the cache. */
    @Test
    void bytesAreThoseThatADecodeStepReads() {
        JsonNode row = bench("--policies full --depths 40 --prefill none --json -")
                .ok()
                .json()
                .path("rows")
                .get(0);
        double matrices = 320 * 64 + 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 64 * 96);
        double cache = 41 * 2 * 2 * 2 * 16;
        double bytes = 2 * (matrices + cache);
        assertThat(row.path("gigabytesPerSecond").asDouble()
                        / row.path("tokensPerSecond").asDouble()
                        * 1e9)
                .isCloseTo(bytes, within(1e-3 * bytes));
    }

    @Test
    void quantisedWeightsAndCachesAreMeasured() {
        JsonNode row = bench(
                        "--policies duo --sink 4 --recent 8 --depths 20 --prefill none --weights int4 --kv int8 --json -")
                .ok()
                .json()
                .path("rows")
                .get(0);
        assertThat(row.path("weights").asString()).isEqualTo("int4");
        assertThat(row.path("kv").asString()).isEqualTo("int8");
    }

    @Test
    void cachesOfDifferentStorageAreMeasuredInTurn() {
        JsonNode rows = bench("--contenders full:f16,duo:int8,duo:int4/8 --sink 4 --recent 8 --depths 20"
                        + " --prefill none --json -")
                .ok()
                .json()
                .path("rows");
        assertThat(rows).hasSize(3);
        List<String> storage = List.of("f16", "int8", "int4/8");
        for (int i = 0; i < rows.size(); i++) {
            assertThat(rows.get(i).path("policy").asString()).isEqualTo(i == 0 ? "full" : "duo");
            assertThat(rows.get(i).path("kv").asString()).isEqualTo(storage.get(i));
            assertThat(rows.get(i).path("retrieval").asDouble()).isEqualTo(i == 0 ? 1 : 0.5);
        }
        // 4 bits in groups of 8 have half the codes and twice the scales of 8 bits in groups of 16.
        assertThat(rows.get(2).path("kvBytes").asLong())
                .isPositive()
                .isLessThan(rows.get(1).path("kvBytes").asLong());
    }

    /** A cache that is compared is there until the end, so that all of them have to fit beside each other. */
    @Test
    void memoryIsThatOfAllCachesTogether() {
        long wide = refusedBytes("--contenders full:f16");
        long narrow = refusedBytes("--contenders full:int8");
        assertThat(narrow).isLessThan(wide);
        assertThat(refusedBytes("--contenders full:f16,full:int8")).isEqualTo(wide + narrow);
        assertThat(refusedBytes("--policies full --kv int8")).isEqualTo(narrow);
    }

    private long refusedBytes(String options) {
        String sentence = bench(options + " --depths 1000000000 --prefill none").sentence();
        Matcher matcher = Pattern.compile("takes (\\d+) bytes").matcher(sentence);
        assertThat(matcher.find()).as(sentence).isTrue();
        return Long.parseLong(matcher.group(1));
    }

    @Test
    void whatAPeerCannotRunIsRefusedBeforeItIsStarted() throws IOException {
        assertThat(bench("--peer nonsense").sentence()).contains("--peer", "nonsense", "llama.cpp");
        assertThat(bench("--peer llama.cpp --weights bf16").sentence()).contains("llama.cpp", "bf16", "int4");
        assertThat(bench("--peer jlama --weights int8").sentence()).contains("jlama", "int8", "int4");
        Files.writeString(shape, SHAPE.replace("\"llama\"", "\"qwen2\""));
        assertThat(bench("--peer llama.cpp").sentence()).contains("llama.cpp", "model_type");
        assertThat(bench("--peer jlama").sentence()).contains("jlama", "model_type");
        Files.writeString(shape, SHAPE.replace("\"head_dim\": 16", "\"head_dim\": 32"));
        assertThat(bench("--peer jlama").sentence()).contains("hidden_size", "64 and 4 x 32");
        Files.writeString(shape, SHAPE.replace("96", "80"));
        assertThat(bench("--peer jlama").sentence()).contains("blocks of 32", "80 columns", "down_proj");
        Files.writeString(shape, SHAPE.replace("320", "100"));
        assertThat(bench("--peer llama.cpp").sentence()).contains("vocabulary", "100");
    }

    @Test
    void moreMemoryThanThereIsIsRefused() {
        assertThat(Cli.run(
                                "bench",
                                "--shape",
                                shape.toString(),
                                "--quiet",
                                "--depths",
                                "1000000000",
                                "--prefill",
                                "none")
                        .sentence())
                .contains("--depths 1000000000", "bytes", "available");
        assertThat(Cli.run("bench", "--shape", shape.toString(), "--quiet", "--chunk", "1000000000")
                        .sentence())
                .contains("1000000000", "bytes", "available");
        assertThat(bench("--depths 0 --prefill 8,999999999").sentence())
                .contains("--prefill 999999999", "bytes", "available");
        assertThat(bench("--policies duo --depths 0 --prefill none --sink 2147483647 --recent 2147483647")
                        .sentence())
                .contains("bytes", "available");
    }

    /** A peer keeps a full cache for each of its settings, while ours is a half of one. */
    @Test
    void aPeerForWhichNoMemoryIsLeftIsRefusedBeforeItIsInstalled() {
        ModelConfig config = Shapes.of(shape.toString());
        WeightFormat weights = WeightFormat.of("int4").orElseThrow();
        long available;
        try (Planner planner = Wiring.duo()
                .planner(config, weights.requirements("tiny", config, BlockFormat.F16), Optional.empty(), Map.of())) {
            available = planner.device().availableBytes();
        }
        // In F16 a token takes 256 bytes in a full cache.
        long depth = Math.min(1 << 30, available / 256);
        for (String peer : List.of("llama.cpp", "jlama")) {
            assertThat(bench("--peer " + peer + " --weights int4 --policies duo --depths " + depth + " --peer-depth "
                                    + depth + " --prefill none")
                            .sentence())
                    .contains("--peer " + peer, "bytes", "left", "--peer-depth");
        }
    }

    @Test
    void rowsSayWhenStreamingHeadsAreStoredInAnotherWay() {
        JsonNode rows = bench("--policies full,duo --kv int8 --streaming-kv f16 --depths 8 --prefill none --json -")
                .ok()
                .json()
                .path("rows");
        assertThat(rows.get(0).has("setting")).isFalse();
        assertThat(rows.get(1).path("setting").asString()).isEqualTo("streaming kv f16");
        assertThat(rows.get(1).has("bestSetting")).isFalse();
    }
}
