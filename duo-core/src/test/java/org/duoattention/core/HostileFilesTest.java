package org.duoattention.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Optional;
import java.util.StringJoiner;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.head.HeadMask;
import org.duoattention.api.head.HeadMaskRequest;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.core.head.HeadPattern;
import org.duoattention.core.head.HeadSelection;
import org.duoattention.core.head.MaskFileHeads;
import org.duoattention.core.head.PatternDirectory;
import org.duoattention.core.load.Checkpoint;
import org.duoattention.core.load.CheckpointFiles;
import org.duoattention.core.model.GenerationConfig;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.model.RopeFrequencies;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Thousands of damaged files of every kind that is read from a checkpoint or pattern directory. Each one either loads
 * and is consistent, or is refused with one line; nothing else is thrown, and memory stays bounded.
 */
@Timeout(120)
class HostileFilesTest {
    private static final int MUTATIONS = 1_500;
    private static final long MOST_BYTES_PER_FILE = 32L << 20;
    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();

    @TempDir
    Path directory;

    private final Mutator mutator = new Mutator(20_241_010);
    private int loaded;
    private int refused;

    /** What is done with a damaged file; returns normally when it loaded and is consistent. */
    private interface Reading {
        void run() throws IOException;
    }

    @BeforeEach
    void resetCounts() {
        loaded = 0;
        refused = 0;
    }

    @Test
    void safetensorsAsBytes() {
        byte[] good = safetensors(header(), 76);
        for (int i = 0; i < MUTATIONS; i++) {
            CheckpointFiles.writeSingle(directory, mutator.damage(good));
            attempt(i, "model.safetensors", this::readCheckpoint);
        }
        assertBothHappened();
    }

    @Test
    void safetensorsHeaders() {
        for (int i = 0; i < MUTATIONS; i++) {
            // The length fits the damaged header, so that the damage is reached.
            CheckpointFiles.writeSingle(directory, safetensors(mutator.rewrite(header()), 76));
            attempt(i, "model.safetensors", this::readCheckpoint);
        }
        assertBothHappened();
    }

    @Test
    void indexesAndShards() {
        String index = "{\"metadata\": {\"total_size\": 8}, \"weight_map\": {\"a\": \"1.safetensors\", \"b\":"
                + " \"2.safetensors\", \"c\": \"2.safetensors\"}}";
        String first = "{" + CheckpointFiles.entry("a", "F32", "[1]", 0, 4) + "}";
        String second = "{" + CheckpointFiles.entry("b", "F16", "[1]", 0, 2) + ","
                + CheckpointFiles.entry("c", "F16", "[1]", 2, 4) + "}";
        for (int i = 0; i < MUTATIONS; i++) {
            boolean damageShard = mutator.below(4) == 0;
            CheckpointFiles.write(
                    directory.resolve("model.safetensors.index.json"), damageShard ? index : mutator.rewrite(index));
            CheckpointFiles.write(directory.resolve("1.safetensors"), safetensors(first, 4));
            CheckpointFiles.write(
                    directory.resolve("2.safetensors"), safetensors(damageShard ? mutator.rewrite(second) : second, 4));
            attempt(i, "model.safetensors.index.json", this::readCheckpoint);
        }
        assertBothHappened();
    }

    @Test
    void configs() {
        String old = """
                {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 8,
                 "num_key_value_heads": 4, "head_dim": 8, "intermediate_size": 160, "vocab_size": 320,
                 "rms_norm_eps": 1e-05, "max_position_embeddings": 8192, "rope_theta": 500000.0, "hidden_act": "silu",
                 "rope_scaling": {"factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
                 "original_max_position_embeddings": 256, "rope_type": "llama3"}, "bos_token_id": 1,
                 "eos_token_id": [2, 3], "tie_word_embeddings": true, "attention_bias": false}
                """;
        String recent = """
                {"model_type": "qwen3", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 8,
                 "num_key_value_heads": 2, "intermediate_size": 160, "vocab_size": 320, "head_dim": 16,
                 "layer_types": ["full_attention", "full_attention"], "sliding_window": 4096,
                 "use_sliding_window": false, "max_window_layers": 28, "eos_token_id": 2, "dtype": "bfloat16",
                 "rope_parameters": {"rope_theta": 1000000.0, "rope_type": "yarn", "factor": 4.0, "beta_fast": 32,
                 "original_max_position_embeddings": 1024, "mscale": 1.0, "mscale_all_dim": 0.7, "truncate": true}}
                """;
        String dynamic = """
                {"model_type": "mistral", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 8,
                 "num_key_value_heads": 2, "intermediate_size": 160, "vocab_size": 320, "sliding_window": null,
                 "max_position_embeddings": 512, "rope_scaling": {"type": "dynamic", "factor": 2.0}}
                """;
        for (int i = 0; i < MUTATIONS; i++) {
            String text = mutator.rewrite(i % 3 == 0 ? old : i % 3 == 1 ? recent : dynamic);
            CheckpointFiles.write(directory.resolve("config.json"), text);
            attempt(i, "config.json", this::readConfig);
        }
        assertBothHappened();
    }

    @Test
    void generationConfigs() {
        String text =
                "{\"eos_token_id\": [1, 2], \"do_sample\": true, \"temperature\": 0.6, \"top_k\": 20, \"top_p\": 0.9,"
                        + " \"min_p\": 0.1, \"repetition_penalty\": 1.1}";
        CheckpointFiles.write(
                directory.resolve("config.json"),
                "{\"model_type\": \"llama\", \"hidden_size\": 64, \"num_hidden_layers\": 3, \"num_attention_heads\": 8,"
                        + " \"intermediate_size\": 160, \"vocab_size\": 320}");
        ModelConfig config = ModelConfig.read(directory);
        for (int i = 0; i < MUTATIONS; i++) {
            CheckpointFiles.write(directory.resolve("generation_config.json"), mutator.rewrite(text));
            attempt(i, "generation_config.json", () -> {
                GenerationConfig read = GenerationConfig.read(directory, config);
                assertThat(read.eosTokenIds()).allMatch(id -> id >= 0);
                assertThat(read.topP().orElse(1)).isBetween(0.0, 1.0);
                assertThat(read.temperature().orElse(1)).isFinite().isNotNegative();
            });
        }
        assertBothHappened();
    }

    @Test
    void patterns() {
        String table = "1.000000000000000000e+00\t4.667968750000000000e-01\t0\n-2.5e-04\t0.5\t1\n0\t0\t0.25\n";
        String config = "{\"sink_size\": 128, \"recent_size\": 256, \"lr\": 0.02, \"name\": \"x\"}";
        for (int i = 0; i < MUTATIONS; i++) {
            boolean damageConfig = mutator.below(3) == 0;
            CheckpointFiles.write(
                    directory.resolve(PatternDirectory.SCORES), damageConfig ? table : mutator.rewrite(table));
            CheckpointFiles.write(
                    directory.resolve(PatternDirectory.CONFIG), damageConfig ? mutator.rewrite(config) : config);
            attempt(i, damageConfig ? PatternDirectory.CONFIG : PatternDirectory.SCORES, () -> {
                HeadPattern pattern = PatternDirectory.read(directory);
                HeadMask mask = new HeadSelection.BySparsity(0.5).select(pattern);
                assertThat(mask.retrievalCount()).isEqualTo((mask.headCount() + 1) / 2);
                assertThat(pattern.recentSize()).isPositive();
            });
        }
        assertBothHappened();
    }

    @Test
    void masks() {
        ModelShape shape = new ModelShape(3, 8, 4, 2, 2, 8, 8);
        Path file = directory.resolve("mask.tsv");
        HeadMaskRequest request = new HeadMaskRequest(shape, Optional.empty(), Map.of("file", file.toString()));
        for (int i = 0; i < MUTATIONS; i++) {
            CheckpointFiles.write(file, mutator.rewrite("1\t0\n0\t1\n1\t1\n"));
            attempt(
                    i,
                    "mask.tsv",
                    () -> assertThat(new MaskFileHeads().headMask(request).fits(shape))
                            .isTrue());
        }
        assertBothHappened();
    }

    private void readCheckpoint() {
        try (Checkpoint checkpoint = Checkpoint.open(directory)) {
            long bytes = 0;
            for (String name : checkpoint.names()) {
                bytes += readTensor(checkpoint, name);
            }
            assertThat(bytes).isLessThanOrEqualTo(checkpoint.totalBytes());
            assertThat(checkpoint.totalBytes()).isBetween(0L, 200L);
        }
    }

    private static long readTensor(Checkpoint checkpoint, String name) {
        HostTensor tensor;
        try {
            tensor = checkpoint.find(name).orElseThrow();
        } catch (DuoException e) {
            assertOneLine(e);
            return 0;
        }
        long elements = tensor.spec().elements();
        if (elements > 0) {
            tensor.floatAt(0);
            tensor.floatAt(elements - 1);
        }
        return tensor.data().byteSize();
    }

    private void readConfig() {
        ModelConfig config = ModelConfig.read(directory);
        assertThat(config.contextLimit()).isPositive();
        assertThat(config.shape().queryWidth()).isPositive();
        assertThat(config.rmsNormEps()).isBetween(0.0, 1.0);
        RopeFrequencies frequencies =
                new RopeFrequencies(config.rope(), config.shape().headDim());
        for (long length : new long[] {1, 1_000_000}) {
            Rope rope = frequencies.at(length);
            assertThat(rope.attentionFactor()).isFinite().isPositive();
            for (int pair = 0; pair < rope.pairs(); pair++) {
                assertThat(rope.inverseFrequency(pair)).isFinite().isNotNegative();
            }
        }
    }

    private void attempt(int index, String file, Reading reading) {
        long before = THREADS.getCurrentThreadAllocatedBytes();
        try {
            reading.run();
            loaded++;
        } catch (DuoException e) {
            assertOneLine(e);
            refused++;
        } catch (IllegalArgumentException e) {
            // The contract of mask sources; elsewhere a defect.
            assertThat(file).as("%s", e).isEqualTo("mask.tsv");
            assertOneLine(e);
            refused++;
        } catch (Throwable t) {
            fail("mutation " + index + " of " + file + ": " + t + "\n" + content(file), t);
        }
        assertThat(THREADS.getCurrentThreadAllocatedBytes() - before)
                .as("bytes allocated for mutation %d of %s", index, file)
                .isLessThan(MOST_BYTES_PER_FILE);
    }

    private static void assertOneLine(RuntimeException e) {
        assertThat(e.getMessage()).isNotBlank().hasSizeLessThan(1000);
        assertThat(e.getMessage().chars().filter(Character::isISOControl).count())
                .as("control characters in: %s", e.getMessage())
                .isZero();
    }

    private String content(String file) {
        try {
            byte[] bytes = Files.readAllBytes(directory.resolve(file));
            return new String(Arrays.copyOf(bytes, Math.min(bytes.length, 2000)), StandardCharsets.ISO_8859_1);
        } catch (IOException e) {
            return e.toString();
        }
    }

    private void assertBothHappened() {
        assertThat(loaded + refused).isEqualTo(MUTATIONS);
        assertThat(loaded).as("files that loaded").isGreaterThan(MUTATIONS / 50);
        assertThat(refused).as("files that were refused").isGreaterThan(MUTATIONS / 10);
    }

    private static byte[] safetensors(String header, int dataBytes) {
        return CheckpointFiles.safetensors(header, new byte[dataBytes]);
    }

    private static String header() {
        StringJoiner entries = new StringJoiner(",", "{", "}");
        entries.add("\"__metadata__\":{\"format\":\"pt\"}");
        entries.add(CheckpointFiles.entry("model.embed_tokens.weight", "BF16", "[4,4]", 0, 32));
        entries.add(CheckpointFiles.entry("model.norm.weight", "F32", "[4]", 32, 48));
        entries.add(CheckpointFiles.entry("lm_head.weight", "F16", "[2,4]", 48, 64));
        entries.add(CheckpointFiles.entry("position_ids", "I64", "[1]", 64, 72));
        entries.add(CheckpointFiles.entry("quantised", "F8_E4M3", "[2,2]", 72, 76));
        return entries.toString();
    }
}
