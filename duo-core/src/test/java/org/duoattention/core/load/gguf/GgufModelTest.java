package org.duoattention.core.load.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.function.Consumer;
import java.util.function.UnaryOperator;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.duoattention.api.model.ModelShape;
import org.duoattention.core.DuoException;
import org.duoattention.core.load.CheckpointFiles;
import org.duoattention.core.load.WeightSource;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.model.ModelFamily;
import org.duoattention.core.model.RopeScaling;
import org.duoattention.core.template.ChatTemplate;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What is made of metadata and tensor list, which files form a model, and what is refused by name. */
class GgufModelTest {
    private static final Path FILES = Path.of("src", "test", "resources", "gguf");

    @TempDir
    Path directory;

    @Test
    void metadataBecomesAConfiguration() {
        ModelConfig config = config(writer -> {});

        assertThat(config.family()).isEqualTo(ModelFamily.LLAMA);
        assertThat(config.shape()).isEqualTo(new ModelShape(1, 32, 2, 1, 16, 48, 10));
        assertThat(config.rmsNormEps()).isEqualTo(1e-5f);
        assertThat(config.rope().theta()).isEqualTo(10_000);
        assertThat(config.rope().scaling()).isEqualTo(new RopeScaling.None());
        assertThat(config.maxPositions()).isEqualTo(128);
        assertThat(config.tieWordEmbeddings()).isTrue();
        assertThat(config.queryKeyValueBias()).isFalse();
        assertThat(config.slidingWindow()).isEmpty();
        assertThat(config.bosTokenId()).isEmpty();
        assertThat(config.eosTokenIds()).isEmpty();
    }

    @Test
    void endTokensAreCollected() {
        ModelConfig config = config(writer -> writer.uint32("tokenizer.ggml.bos_token_id", 1)
                .uint32("tokenizer.ggml.eos_token_id", 2)
                .uint32("tokenizer.ggml.eot_token_id", 3)
                .uint32("tokenizer.ggml.eom_token_id", 2));

        assertThat(config.bosTokenId()).hasValue(1);
        assertThat(config.eosTokenIds()).containsExactly(2, 3);
    }

    @Test
    void minusOneStandsForNoToken() {
        ModelConfig config = config(writer -> writer.uint32("tokenizer.ggml.bos_token_id", -1)
                .entry("tokenizer.ggml.eos_token_id", GgufWriter.INT32, new GgufWriter.Bytes().int32(-1)));

        assertThat(config.bosTokenId()).isEmpty();
        assertThat(config.eosTokenIds()).isEmpty();
    }

    @Test
    void tokensEndAnAnswerByTheirNameToo() {
        GgufWriter writer = model("llama")
                .string("tokenizer.ggml.model", "gpt2")
                .strings("tokenizer.ggml.tokens", List.of("a", "<|eot_id|>", "<|end_of_text|>", "<|im_end|>"))
                .integers("tokenizer.ggml.token_type", 1, 3, 3, 1)
                .uint32("tokenizer.ggml.eos_token_id", 2);
        try (GgufModel model = open(writer)) {
            assertThat(model.generationConfig().eosTokenIds()).containsExactly(2, 1);
        }
    }

    @Test
    void rotationsAreRead() {
        assertThat(config(w -> w.string("llama.rope.scaling.type", "linear").float32("llama.rope.scaling.factor", 4))
                        .rope()
                        .scaling())
                .isEqualTo(new RopeScaling.Linear(4));
        assertThat(config(w -> w.float32("llama.rope.scale_linear", 2)).rope().scaling())
                .isEqualTo(new RopeScaling.Linear(2));
        assertThat(config(w -> w.string("llama.rope.scaling.type", "yarn")
                                .float32("llama.rope.scaling.factor", 4)
                                .uint32("llama.rope.scaling.original_context_length", 64))
                        .rope()
                        .scaling())
                .isEqualTo(new RopeScaling.Yarn(
                        4, 64, OptionalDouble.empty(), OptionalDouble.empty(), OptionalDouble.empty(), 32, 1, true));
        assertThat(config(w -> w.tensor("rope_freqs.weight", 0, new long[] {8}, ones(8)))
                        .rope()
                        .scaling())
                .isEqualTo(new RopeScaling.Divided(List.of(1f, 1f, 1f, 1f, 1f, 1f, 1f, 1f)));
    }

    @Test
    void aSlidingWindowLimitsTheContext() {
        ModelConfig config = config(writer -> writer.uint32("llama.attention.sliding_window", 64));

        assertThat(config.slidingWindow()).isEqualTo(OptionalLong.of(64));
        assertThatThrownBy(() -> config.checkContext(65))
                .isInstanceOf(DuoException.class)
                .hasMessageContainingAll("m.gguf", "64");
    }

    @ParameterizedTest
    @CsvSource({"gemma2", "phi3", "mixtral", "mistral3", "LLAMA"})
    void otherArchitecturesAreRefused(String architecture) {
        refused(() -> config(model(architecture)), "general.architecture", architecture, "llama, qwen2 or qwen3");
    }

    @Test
    void whatWouldChangeTheArithmeticIsRefused() {
        refusedConfig(w -> w.uint32("llama.expert_count", 8), "expert_count", "8");
        refusedConfig(w -> w.float32("llama.attention.scale", 0.1), "llama.attention.scale");
        refusedConfig(w -> w.float32("llama.final_logit_softcapping", 30), "final_logit_softcapping");
        refusedConfig(w -> w.float32("llama.attention.temperature_scale", 1), "attention.temperature_scale");
        refusedConfig(w -> w.bool("llama.attention.causal", false), "attention.causal");
        refusedConfig(w -> w.string("general.type", "adapter"), "general.type", "adapter");
        refusedConfig(w -> w.string("llama.rope.scaling.type", "longrope"), "longrope");
        refusedConfig(w -> w.float32("llama.rope.scaling.attn_factor", 1.2), "attn_factor", "1.2");
        refusedConfig(w -> w.uint32("llama.rope.dimension_count", 8), "rope.dimension_count", "8", "16");
        refusedConfig(w -> w.uint32("llama.attention.value_length", 8), "attention.value_length", "8", "16");
        refusedConfig(w -> w.uint32("llama.vocab_size", 11), "vocab_size", "11", "10");
        refusedConfig(
                w -> w.strings("tokenizer.ggml.tokens", List.of("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k")),
                "tokenizer.ggml.tokens",
                "11 tokens");
        refusedConfig(w -> w.uint32("tokenizer.ggml.eos_token_id", 10), "eos_token_id", "10", "0 to 9");
        refusedConfig(
                w -> w.tensor("blk.0.ffn_gate_exps.weight", 0, new long[] {1}, new byte[4]),
                "blk.0.ffn_gate_exps.weight");
        refusedConfig(
                w -> w.tensor("rope_freqs.weight", 0, new long[] {4}, ones(4)), "rope_freqs.weight", "[4]", "[8]");
        refusedConfig(
                w -> w.tensor("rope_freqs.weight", 0, new long[] {8}, new byte[32]),
                "rope_freqs.weight",
                "0.0",
                "pair 0");
        refusedConfig(
                w -> w.string("llama.rope.scaling.type", "linear")
                        .tensor("rope_freqs.weight", 0, new long[] {8}, ones(8)),
                "scaling.type",
                "linear");
    }

    @Test
    void headsPerLayerAreRefused() {
        refused(
                () -> config(base("llama").integers("llama.attention.head_count_kv", 1, 2)),
                "attention.head_count_kv",
                "an array of int32");
    }

    @Test
    void tensorsAreRefusedByTypeAndShape() {
        try (GgufModel model = open(model("llama").tensor("output.weight", 10, new long[] {1, 256}, new byte[84]))) {
            refused(model::weights, "output.weight", "Q2_K", "Q4_K");
        }
        try (GgufModel model = open(model("llama").tensor("blk.0.attn_norm.weight", 8, new long[] {32}, new byte[34]));
                Arena arena = Arena.ofShared()) {
            WeightSource weights = model.weights();
            assertThat(weights.isQuantized()).isTrue();
            refused(() -> weights.get("model.layers.0.input_layernorm.weight", 32), "attn_norm", "Q8_0", "F32");
            refused(
                    () -> weights.matrix("model.embed_tokens.weight", 11, 32, arena),
                    "token_embd.weight",
                    "[10, 32]",
                    "[11, 32]");
            refused(
                    () -> weights.get("model.layers.0.mlp.up_proj.weight", 48, 32),
                    "model.layers.0.mlp.up_proj.weight",
                    "missing");
        }
    }

    @Test
    void templatesAreFoundByName() {
        GgufWriter writer = model("llama")
                .string("tokenizer.chat_template", "{{ bos_token }}{{ messages[0].content }}")
                .string("tokenizer.chat_template.tool_use", "tools")
                .string("tokenizer.ggml.model", "gpt2")
                .strings("tokenizer.ggml.tokens", List.of("<s>", "a"))
                .uint32("tokenizer.ggml.bos_token_id", 0);
        try (GgufModel model = open(writer)) {
            ChatTemplate template = model.chatTemplate().orElseThrow();
            List<?> messages = List.of(Map.of("role", "user", "content", "Hi"));
            assertThat(template.render(messages, null, true, Map.of())).isEqualTo("<s>Hi");
            assertThat(template.render(messages, List.of(), true, Map.of())).isEqualTo("tools");
        }
        try (GgufModel model = open(model("llama"))) {
            assertThat(model.chatTemplate()).isEmpty();
            refused(model::requireChatTemplate, "no chat template");
            refused(model::requireTokenizer, "no tokenizer");
        }
    }

    @Test
    void aMissingPartIsNamed() throws IOException {
        copyParts("mistral-00001-of-00003.gguf", "mistral-00003-of-00003.gguf");
        for (String given : List.of("mistral-00001-of-00003.gguf", "mistral-00003-of-00003.gguf")) {
            refused(
                    () -> GgufModel.open(directory.resolve(given)).close(),
                    "mistral-00002-of-00003.gguf",
                    "part 2 of the 3 parts");
        }
        refused(() -> GgufModel.open(directory).close(), "mistral-00002-of-00003.gguf");
    }

    @Test
    void partsThatDoNotBelongTogetherAreRefused() throws IOException {
        copyParts("mistral-00001-of-00003.gguf", "mistral-00002-of-00003.gguf");
        Files.copy(FILES.resolve("qwen3.gguf"), directory.resolve("mistral-00003-of-00003.gguf"));
        refused(() -> GgufModel.open(directory).close(), "mistral-00003-of-00003.gguf", "one of 1 parts");

        Files.delete(directory.resolve("mistral-00003-of-00003.gguf"));
        Files.copy(FILES.resolve("mistral-00002-of-00003.gguf"), directory.resolve("mistral-00003-of-00003.gguf"));
        refused(() -> GgufModel.open(directory).close(), "mistral-00003-of-00003.gguf", "part 2 by its metadata");

        Files.copy(FILES.resolve("mistral-00002-of-00003.gguf"), directory.resolve("alone.gguf"));
        refused(() -> GgufModel.open(directory.resolve("alone.gguf")).close(), "alone.gguf", "3 parts", "one of 1");
    }

    @Test
    void aDirectoryHoldsOneModel() throws IOException {
        copyParts("mistral-00001-of-00003.gguf", "mistral-00002-of-00003.gguf", "mistral-00003-of-00003.gguf");
        assertThat(GgufModel.isAt(directory)).isTrue();
        try (GgufModel model = GgufModel.open(directory)) {
            assertThat(model.name()).isEqualTo("mistral");
            assertThat(model.path()).isEqualTo(directory);
            assertThat(model.directory()).isEqualTo(directory.toAbsolutePath());
            assertThat(model.weights().names()).hasSize(30);
        }
        Files.copy(FILES.resolve("qwen3.gguf"), directory.resolve("qwen3.gguf"));
        refused(() -> GgufModel.isAt(directory), "2 models", "mistral in 3 parts", "qwen3.gguf");

        Files.writeString(directory.resolve("config.json"), "{}");
        assertThat(GgufModel.isAt(directory)).isFalse();
        refused(() -> GgufModel.open(directory.resolve("absent.gguf")).close(), "absent.gguf", "no such file");
    }

    @Test
    void bytesByTypeComeFromTheHeader() {
        try (GgufModel model = GgufModel.open(FILES.resolve("mistral-00001-of-00003.gguf"))) {
            WeightSource weights = model.weights();
            // Two embeddings; per layer q, o, k, v, and three of the feed-forward layer; seven norms.
            long f16 = 2 * (2 * 64 * 32 + 3 * (2 * 32 * 32 + 2 * 8 * 32 + 3 * 48 * 32));
            assertThat(weights.bytesByType()).containsEntry("f16", f16).containsEntry("f32", 7 * 32 * 4L);
            assertThat(weights.totalBytes()).isEqualTo(f16 + 7 * 32 * 4L);
            assertThat(weights.isQuantized()).isFalse();
        }
    }

    private void copyParts(String... names) throws IOException {
        for (String name : names) {
            Files.copy(FILES.resolve(name), directory.resolve(name));
        }
    }

    private static byte[] ones(int count) {
        GgufWriter.Bytes bytes = new GgufWriter.Bytes();
        for (int i = 0; i < count; i++) {
            bytes.float32(1);
        }
        return bytes.array();
    }

    private static GgufWriter base(String architecture) {
        return new GgufWriter()
                .string("general.architecture", architecture)
                .uint32(architecture + ".context_length", 128)
                .uint32(architecture + ".embedding_length", 32)
                .uint32(architecture + ".block_count", 1)
                .uint32(architecture + ".feed_forward_length", 48)
                .uint32(architecture + ".attention.head_count", 2)
                .float32(architecture + ".attention.layer_norm_rms_epsilon", 1e-5)
                .tensor("token_embd.weight", 0, new long[] {10, 32}, new byte[1280]);
    }

    private static GgufWriter model(String architecture) {
        return base(architecture).uint32(architecture + ".attention.head_count_kv", 1);
    }

    private GgufModel open(GgufWriter writer) {
        Path file = directory.resolve("m.gguf");
        CheckpointFiles.write(file, writer.build());
        return GgufModel.open(file);
    }

    private ModelConfig config(GgufWriter writer) {
        try (GgufModel model = open(writer)) {
            return model.config();
        }
    }

    private ModelConfig config(Consumer<GgufWriter> more) {
        GgufWriter writer = model("llama");
        more.accept(writer);
        return config(writer);
    }

    private void refusedConfig(UnaryOperator<GgufWriter> more, String... parts) {
        refused(() -> config(more.apply(model("llama"))), parts);
    }

    private static void refused(ThrowingCallable reading, String... parts) {
        assertThatThrownBy(reading)
                .isInstanceOf(DuoException.class)
                .hasMessageContaining(".gguf")
                .hasMessageContainingAll(parts);
    }
}
