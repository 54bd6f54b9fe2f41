package org.duoattention.core.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.duoattention.api.model.ModelShape;
import org.duoattention.core.DuoException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The defaults are those of the configuration classes of transformers 5.18. */
class ModelConfigTest {
    @TempDir
    Path directory;

    @Test
    void llamaDefaults() {
        ModelConfig config =
                ConfigFiles.of("llama").without("num_key_value_heads").read(directory);
        assertThat(config.family()).isEqualTo(ModelFamily.LLAMA);
        assertThat(config.shape()).isEqualTo(new ModelShape(3, 64, 8, 8, 8, 160, 320));
        assertThat(config.rmsNormEps()).isEqualTo(1e-6);
        assertThat(config.rope()).isEqualTo(new RopeConfig(10_000, new RopeScaling.None()));
        assertThat(config.tieWordEmbeddings()).isFalse();
        assertThat(config.queryKeyValueBias()).isFalse();
        assertThat(config.outputBias()).isFalse();
        assertThat(config.mlpBias()).isFalse();
        assertThat(config.queryKeyNorm()).isFalse();
        assertThat(config.maxPositions()).isEqualTo(2048);
        assertThat(config.slidingWindow()).isEmpty();
        assertThat(config.bosTokenId()).isEmpty();
        assertThat(config.eosTokenIds()).isEmpty();
        assertThat(config.contextLimit()).isEqualTo(2048);
    }

    @Test
    void otherDefaults() {
        assertThat(ConfigFiles.of("mistral")
                        .without("num_key_value_heads")
                        .read(directory)
                        .shape()
                        .kvHeads())
                .isEqualTo(8);
        ModelConfig qwen3 = ConfigFiles.of("qwen3").read(directory);
        assertThat(qwen3.shape().headDim()).isEqualTo(128);
        assertThat(qwen3.shape().queryWidth()).isEqualTo(1024);
        assertThat(qwen3.queryKeyNorm()).isTrue();
        assertThat(qwen3.maxPositions()).isEqualTo(32_768);
        assertThat(qwen3.slidingWindow()).isEmpty();
        assertThat(ConfigFiles.of("qwen3")
                        .with("head_dim", "null")
                        .read(directory)
                        .shape()
                        .headDim())
                .isEqualTo(8);
    }

    @Test
    void biasesByFamily() {
        ModelConfig llama = ConfigFiles.of("llama")
                .with("attention_bias", "true")
                .with("mlp_bias", "true")
                .read(directory);
        assertThat(List.of(llama.queryKeyValueBias(), llama.outputBias(), llama.mlpBias()))
                .containsExactly(true, true, true);
        ModelConfig qwen2 =
                ConfigFiles.of("qwen2").with("attention_bias", "false").read(directory);
        assertThat(List.of(qwen2.queryKeyValueBias(), qwen2.outputBias(), qwen2.mlpBias()))
                .containsExactly(true, false, false);
        ModelConfig qwen3 =
                ConfigFiles.of("qwen3").with("attention_bias", "true").read(directory);
        assertThat(List.of(qwen3.queryKeyValueBias(), qwen3.outputBias(), qwen3.mlpBias()))
                .containsExactly(true, true, false);
        ModelConfig mistral = ConfigFiles.of("mistral").read(directory);
        assertThat(List.of(mistral.queryKeyValueBias(), mistral.outputBias(), mistral.mlpBias()))
                .containsExactly(false, false, false);
        refused("mistral", "attention_bias", "true", "mistral has no attention biases");
        refused("qwen2", "mlp_bias", "true", "qwen2 has no biases in the feed-forward layer");
    }

    @Test
    void givenValuesAreRead() {
        ModelConfig config = ConfigFiles.of("llama")
                .with("head_dim", "32")
                .with("rms_norm_eps", "1e-05")
                .with("tie_word_embeddings", "true")
                .with("max_position_embeddings", "131072")
                .with("bos_token_id", "128000")
                .with("eos_token_id", "[128001, 128008, 128009]")
                .with("hidden_act", "\"swish\"")
                .with("pretraining_tp", "2")
                .with("time_limit", "Infinity")
                .read(directory);
        assertThat(config.shape().headDim()).isEqualTo(32);
        assertThat(config.rmsNormEps()).isEqualTo(1e-5);
        assertThat(config.tieWordEmbeddings()).isTrue();
        assertThat(config.maxPositions()).isEqualTo(131_072);
        assertThat(config.bosTokenId()).isEqualTo(OptionalInt.of(128_000));
        assertThat(config.eosTokenIds()).containsExactly(128_001, 128_008, 128_009);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                // family | sliding_window | use_sliding_window | max_window_layers | layer_types | expected, 0 for none
                "mistral | absent | absent | absent | absent | 4096",
                "mistral | null | absent | absent | absent | 0",
                "mistral | 512 | absent | absent | absent | 512",
                "llama | absent | absent | absent | absent | 0",
                "llama | 512 | absent | absent | absent | 512",
                "qwen2 | absent | absent | absent | absent | 0",
                "qwen2 | 512 | false | 0 | absent | 0",
                "qwen2 | 512 | true | 0 | absent | 512",
                "qwen2 | 512 | true | 2 | absent | 512",
                "qwen2 | 512 | true | 3 | absent | 0",
                "qwen2 | 512 | true | absent | absent | 0",
                "qwen3 | 512 | true | 0 | [\"full_attention\",\"full_attention\",\"full_attention\"] | 0",
                "qwen3 | 512 | true | 3 | [\"full_attention\",\"sliding_attention\",\"full_attention\"] | 512",
                "mistral | 512 | absent | absent | [\"full_attention\",\"full_attention\",\"full_attention\"] | 512"
            })
    void slidingWindows(String family, String window, String use, String layers, String types, long expected) {
        ConfigFiles config = ConfigFiles.of(family).with("max_position_embeddings", "32768");
        set(config, "sliding_window", window);
        set(config, "use_sliding_window", use);
        set(config, "max_window_layers", layers);
        set(config, "layer_types", types);
        ModelConfig read = config.read(directory);
        assertThat(read.slidingWindow()).isEqualTo(expected == 0 ? OptionalLong.empty() : OptionalLong.of(expected));
        assertThat(read.contextLimit()).isEqualTo(expected == 0 ? 32_768 : expected);
        if (expected == 0) {
            assertThatCode(() -> read.checkContext(1 << 20)).doesNotThrowAnyException();
        } else {
            assertThatCode(() -> read.checkContext(expected)).doesNotThrowAnyException();
            assertThatThrownBy(() -> read.checkContext(expected + 1))
                    .isInstanceOf(DuoException.class)
                    .hasMessageContaining("sliding window of " + expected + " tokens");
        }
    }

    private static void set(ConfigFiles config, String key, String value) {
        if (!value.equals("absent")) {
            config.with(key, value);
        }
    }

    @Test
    void unsupportedLayersAreRefused() {
        refused(
                "qwen2",
                "layer_types",
                "[\"sliding_attention\",\"full_attention\",\"full_attention\"]",
                "no sliding window");
        refused("llama", "layer_types", "[\"chunked_attention\"]", "other kinds are not supported");
        refused("llama", "layer_types", "[\"full_attention\"]", "has 1 entries, expected one per layer");
    }

    @Test
    void unknownModelsAreRefusedWithWhatExists() {
        assertThatThrownBy(() -> ConfigFiles.of("gemma2").read(directory))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("config.json: model_type is \"gemma2\"")
                .hasMessageContaining("llama, mistral, qwen2, qwen3");
        assertThatThrownBy(() -> ConfigFiles.of("llama").without("model_type").read(directory))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("model_type is missing; expected one of llama, mistral, qwen2, qwen3");
    }

    @Test
    void whatIsNotSupportedIsRefusedByName() {
        refused("llama", "quantization_config", "{\"quant_method\": \"fp8\"}", "quant_method is \"fp8\", expected a");
        refused("llama", "quantization_config", "{}", "quantised (of an unnamed kind)");
        refused("qwen2", "num_experts", "60", "mixtures of experts are not supported");
        refused("mistral", "num_local_experts", "8", "mixtures of experts are not supported");
        refused("llama", "hidden_act", "\"gelu\"", "expected silu");
        refused("llama", "partial_rotary_factor", "0.5", "rotated in part");
        refused(
                "llama",
                "rope_parameters",
                "{\"partial_rotary_factor\": 0.25, \"rope_theta\": 1e4}",
                "rotated in part");
        for (String type : List.of("longrope", "su", "mrope")) {
            refused("llama", "rope_scaling", "{\"type\": \"" + type + "\"}", "rope_scaling.type is \"" + type + "\"");
        }
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "hidden_size | 0",
                "hidden_size | -64",
                "hidden_size | \"64\"",
                "hidden_size | 64.0",
                "hidden_size | 1e2",
                "hidden_size | true",
                "hidden_size | []",
                "hidden_size | 99999999999",
                "hidden_size | 99999999999999999999999999999999",
                "hidden_size | null",
                "hidden_size | 60",
                "num_hidden_layers | 0",
                "num_hidden_layers | 2147483648",
                "num_hidden_layers | 100001",
                "num_attention_heads | 7",
                "num_attention_heads | 64",
                "num_key_value_heads | 0",
                "num_key_value_heads | 3",
                "num_key_value_heads | 16",
                "head_dim | 7",
                "head_dim | -2",
                "head_dim | 1.5",
                "vocab_size | 0",
                "intermediate_size | null",
                "rms_norm_eps | -1e-5",
                "rms_norm_eps | \"1e-5\"",
                "rms_norm_eps | NaN",
                "rms_norm_eps | Infinity",
                "max_position_embeddings | 0",
                "max_position_embeddings | 4096.5",
                "tie_word_embeddings | 1",
                "tie_word_embeddings | \"false\"",
                "attention_bias | \"no\"",
                "hidden_act | 3",
                "model_type | 3",
                "sliding_window | 0",
                "sliding_window | \"4k\"",
                "layer_types | \"full_attention\"",
                "layer_types | {}",
                "layer_types | [1, 2, 3]",
                "eos_token_id | -1",
                "eos_token_id | [1, \"2\"]",
                "eos_token_id | {}",
                "bos_token_id | 1.0",
                "num_experts | -1",
                "quantization_config | \"int8\"",
                "rope_theta | 0",
                "rope_theta | -10000",
                "rope_theta | 1",
                "rope_theta | 1e400",
                "rope_theta | \"10000\"",
                "rope_scaling | 8",
                "rope_scaling | \"linear\"",
                "rope_scaling | [\"linear\"]"
            })
    void malformedValuesNameFileAndKey(String key, String value) {
        assertThatThrownBy(() -> ConfigFiles.of("llama").with(key, value).read(directory))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("config.json: ")
                .message()
                .doesNotContain("\n")
                .matches(message -> message.contains(key)
                        || message.contains("head_dim")
                        || message.contains("num_attention_heads")
                        || message.contains("num_key_value_heads"));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{\"rope_type\": \"linear\"}",
                "{\"rope_type\": \"linear\", \"factor\": 0}",
                "{\"rope_type\": \"linear\", \"factor\": -4}",
                "{\"rope_type\": \"linear\", \"factor\": \"4\"}",
                "{\"rope_type\": \"linear\", \"factor\": NaN}",
                "{\"rope_type\": \"dynamic\"}",
                "{\"rope_type\": \"llama3\", \"factor\": 8}",
                "{\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, \"high_freq_factor\": 4}",
                "{\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1, \"high_freq_factor\": 4,"
                        + " \"original_max_position_embeddings\": 0}",
                "{\"rope_type\": \"yarn\", \"factor\": 4, \"beta_fast\": 1, \"beta_slow\": 2}",
                "{\"rope_type\": \"yarn\", \"factor\": 4, \"attention_factor\": -1}",
                "{\"rope_type\": \"yarn\", \"factor\": 4, \"truncate\": \"yes\"}",
                "{\"rope_type\": 3}",
                "{\"rope_type\": \"linear\", \"factor\": 4, \"rope_theta\": 0.5}"
            })
    void malformedRotationsNameTheirKey(String json) {
        refused("llama", "rope_scaling", json, "rope_scaling.");
    }

    @Test
    void rotationsInBothStyles() {
        RopeScaling linear = new RopeScaling.Linear(4);
        assertThat(rope("rope_scaling", "{\"type\": \"linear\", \"factor\": 4}"))
                .isEqualTo(new RopeConfig(10_000, linear));
        assertThat(rope("rope_parameters", "{\"rope_type\": \"linear\", \"factor\": 4.0, \"rope_theta\": 5e5}"))
                .isEqualTo(new RopeConfig(500_000, linear));
        assertThat(rope("rope_scaling", "{}")).isEqualTo(new RopeConfig(10_000, new RopeScaling.None()));
        assertThat(rope("rope_scaling", "{\"rope_type\": \"default\"}"))
                .isEqualTo(new RopeConfig(10_000, new RopeScaling.None()));
        assertThat(rope("rope_scaling", "{\"type\": \"dynamic\", \"factor\": 2}"))
                .isEqualTo(new RopeConfig(10_000, new RopeScaling.Dynamic(2, 2048)));
        assertThat(rope(
                        "rope_scaling",
                        "{\"rope_type\": \"llama3\", \"type\": \"linear\", \"factor\": 32, \"low_freq_factor\": 1,"
                                + " \"high_freq_factor\": 4, \"original_max_position_embeddings\": 8192}"))
                .isEqualTo(new RopeConfig(10_000, new RopeScaling.Llama3(32, 1, 4, 8192)));
        assertThat(rope(
                        "rope_scaling",
                        "{\"rope_type\": \"yarn\", \"factor\": 4.0, \"original_max_position_embeddings\": 1024}"))
                .isEqualTo(new RopeConfig(10_000, yarn(4, 1024)));
        // Without a factor, the ratio of max_position_embeddings, 2048 by default, to the original length.
        assertThat(rope("rope_scaling", "{\"type\": \"yarn\", \"original_max_position_embeddings\": 512}"))
                .isEqualTo(new RopeConfig(10_000, yarn(4, 512)));
        assertThat(rope("rope_scaling", "{\"type\": \"yarn\", \"factor\": 2}"))
                .isEqualTo(new RopeConfig(10_000, yarn(2, 2048)));
    }

    @Test
    void thetaIsFoundBesideOrAmongTheParameters() {
        assertThat(ConfigFiles.of("llama")
                        .with("rope_theta", "1000000")
                        .read(directory)
                        .rope()
                        .theta())
                .isEqualTo(1_000_000);
        assertThat(ConfigFiles.of("llama")
                        .with("rope_theta", "1000000")
                        .with("rope_parameters", "{\"rope_theta\": 500000}")
                        .read(directory)
                        .rope()
                        .theta())
                .isEqualTo(500_000);
        assertThat(ConfigFiles.of("llama")
                        .with("rope_theta", "1000000")
                        .with("rope_scaling", "{\"type\": \"linear\", \"factor\": 2}")
                        .read(directory)
                        .rope()
                        .theta())
                .isEqualTo(1_000_000);
    }

    @Test
    void rotationsPerLayerTypeMustAgree() {
        assertThat(rope("rope_parameters", "{\"full_attention\": {\"rope_theta\": 5e5}}"))
                .isEqualTo(new RopeConfig(500_000, new RopeScaling.None()));
        refused(
                "llama",
                "rope_parameters",
                "{\"full_attention\": {\"rope_theta\": 5e5}, \"sliding_attention\": {\"rope_theta\": 1e4}}",
                "differ between the layer types [full_attention, sliding_attention]");
        assertThatThrownBy(() -> ConfigFiles.of("llama")
                        .with("rope_scaling", "{\"type\": \"linear\", \"factor\": 2}")
                        .with("rope_parameters", "{\"rope_type\": \"default\"}")
                        .read(directory))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("rope_scaling and rope_parameters are both set and differ");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "[]", "null", "{", "{\"a\":1,\"a\":2}", "{} {}", "\u0000", "{\"a\":01}", "{'a':1}"})
    void malformedFilesAreRefused(String text) throws IOException {
        Files.writeString(directory.resolve("config.json"), text);
        assertThatThrownBy(() -> ModelConfig.read(directory))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("config.json: ")
                .message()
                .doesNotContain("\n");
    }

    @Test
    void missingFilesAreRefused() {
        assertThatThrownBy(() -> ModelConfig.read(directory))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("config.json: no such file");
    }

    @Test
    void generationDefaults() throws IOException {
        ModelConfig config = ConfigFiles.of("llama").with("eos_token_id", "2").read(directory);
        assertThat(GenerationConfig.read(directory, config).eosTokenIds()).containsExactly(2);
        Path file = directory.resolve("generation_config.json");
        Files.writeString(file, "{\"temperature\": 0.6}");
        assertThat(GenerationConfig.read(directory, config).eosTokenIds()).containsExactly(2);
        Files.writeString(
                file,
                "{\"eos_token_id\": [7, 8], \"do_sample\": true, \"temperature\": 0.6, \"top_k\": 20, \"top_p\": 0.95}");
        assertThat(GenerationConfig.read(directory, config))
                .isEqualTo(new GenerationConfig(
                        List.of(7, 8),
                        true,
                        OptionalDouble.of(0.6),
                        OptionalInt.of(20),
                        OptionalDouble.of(0.95),
                        OptionalDouble.empty(),
                        OptionalDouble.empty()));
        Files.writeString(file, "{\"top_p\": 1.5}");
        assertThatThrownBy(() -> GenerationConfig.read(directory, config))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("generation_config.json: top_p is 1.5");
    }

    private RopeConfig rope(String key, String json) {
        return ConfigFiles.of("llama").with(key, json).read(directory).rope();
    }

    private static RopeScaling yarn(double factor, int original) {
        OptionalDouble unset = OptionalDouble.empty();
        return new RopeScaling.Yarn(factor, original, unset, unset, unset, 32, 1, true);
    }

    private void refused(String family, String key, String json, String message) {
        assertThatThrownBy(() -> ConfigFiles.of(family).with(key, json).read(directory))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("config.json: ")
                .hasMessageContaining(message)
                .message()
                .doesNotContain("\n");
    }
}
