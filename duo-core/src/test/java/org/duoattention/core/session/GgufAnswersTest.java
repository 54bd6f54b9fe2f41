package org.duoattention.core.session;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.core.load.gguf.GgufConversion;
import org.duoattention.core.load.gguf.TestBlocks;
import org.duoattention.core.tokenizer.Tokenizer;
import org.duoattention.tck.AssertingBackend;
import org.duoattention.tck.OpaqueBackend;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Models in GGUF format against the independent answers of the checkpoints that they were converted from: files of the
 * reference library ({@code gguf_files.py}), and conversions of larger checkpoints made here.
 */
class GgufAnswersTest {
    private static final Path FILES = Path.of("src", "test", "resources", "gguf");

    @TempDir
    Path directory;

    @ParameterizedTest
    @CsvSource({
        "llama-bias, llama-bias.gguf",
        "qwen3, qwen3.gguf",
        "mistral, mistral-00001-of-00003.gguf",
        "mistral, mistral-00003-of-00003.gguf"
    })
    void filesOfTheReferenceLibraryGiveTheAnswersOfTheirCheckpoint(String name, String file) {
        compare(name, FILES.resolve(file));
    }

    @ParameterizedTest
    @ValueSource(strings = {"llama-gqa", "llama31-rope", "qwen2-bias", "llama-mha-f16", "nano-retrieval"})
    void conversionsGiveTheAnswersOfTheirCheckpoint(String name) {
        compare(name, GgufConversion.write(KnownModels.directory(name), directory.resolve(name + ".gguf")));
    }

    @Test
    void aDirectoryWithOneFileStandsForIt() {
        Path source = KnownModels.directory("llama-gqa");
        GgufConversion.write(source, directory.resolve("tiny.gguf"));
        try (Model model = Model.open(directory)) {
            assertThat(model.name()).isEqualTo("tiny");
            assertThat(model.shape().kvHeads()).isEqualTo(4);
            assertThat(model.tokenizer()).isEmpty();
        }
    }

    @Test
    void theTokenizerIsTheOneOfTheCheckpoint() {
        Path source = KnownModels.directory("nano-retrieval");
        GgufConversion.write(source, directory.resolve("nano.gguf"));
        try (Model original = Model.open(source);
                Model model = Model.open(directory.resolve("nano.gguf"))) {
            Tokenizer expected = original.tokenizer().orElseThrow();
            Tokenizer actual = model.tokenizer().orElseThrow();
            for (String text : new String[] {
                "",
                "It's 12345 o'clock,\r\n\r\n  said   the fox\t\tof Zürich: ½ 漢字 🦊!",
                "<|begin_of_text|>a<|end_of_text|> b",
                " leading and trailing "
            }) {
                int[] ids = expected.encode(text, true);
                assertThat(actual.encode(text, true)).as(text).isEqualTo(ids);
                assertThat(actual.encode(text, false)).as(text).isEqualTo(expected.encode(text, false));
                assertThat(actual.decode(ids, false)).isEqualTo(expected.decode(ids, false));
                assertThat(actual.decode(ids, true)).isEqualTo(expected.decode(ids, true));
            }
            assertThat(actual.vocabSize()).isEqualTo(expected.vocabSize());
            assertThat(actual.specialTokens().id("bos_token")).hasValue(1022);
            assertThat(model.generationConfig().eosTokenIds()).containsExactly(1023);
        }
    }

    /** Rows of q and k, which the architecture llama permutes, included; on the device that needs no kernels of its own. */
    @ParameterizedTest
    @CsvSource({"llama-gqa, Q8_0", "llama-gqa, Q4_0", "llama-gqa, Q4_1", "qwen2-bias, Q8_0", "qwen2-bias, Q4_1"})
    void quantisedMatricesGiveTheAnswersOfTheValuesTheyStandFor(String name, TestBlocks blocks) {
        Path source = KnownModels.directory(name);
        Path quantized = GgufConversion.writeQuantized(source, directory.resolve("quantized.gguf"), blocks);
        Path rounded = GgufConversion.writeRounded(source, directory.resolve("rounded.gguf"), blocks);
        int[] ids = {3, 14, 15, 92, 65, 35, 89, 79, 32, 38};
        float[] expected = logits(rounded, ids);
        float[] actual = logits(quantized, ids);

        assertThat(actual).hasSameSizeAs(expected);
        for (int i = 0; i < actual.length; i++) {
            assertThat(actual[i]).as("logit %d", i).isCloseTo(expected[i], within(1e-4f));
        }
    }

    private static float[] logits(Path file, int[] ids) {
        try (Model model = TestDuo.with(new AssertingBackend(new OpaqueBackend()))
                        .model(file)
                        .open();
                Session session = model.session()
                        .kv(BlockFormat.F32)
                        .maxContext(ids.length)
                        .open()) {
            session.prefill(ids);
            return session.logits().clone();
        }
    }

    private static void compare(String name, Path file) {
        ExpectedAnswers expected = ExpectedAnswers.read(KnownModels.directory(name));
        try (Model model = Duo.create()
                .model(file)
                .ropePrecision(KnownModels.ropePrecision(name))
                .open()) {
            for (ExpectedAnswers.Full prompt : expected.prompts()) {
                try (Session session = model.session()
                        .kv(BlockFormat.F32)
                        .chunk(Math.min(128, prompt.ids().length))
                        .maxContext(prompt.ids().length + prompt.greedy().length)
                        .open()) {
                    KnownAnswersTest.check(session, prompt.ids(), prompt.logits(), prompt.greedy(), file.toString());
                }
            }
            for (ExpectedAnswers.Streaming run : expected.duo()) {
                try (Session session = model.session()
                        .policy("duo")
                        .heads(run.mask())
                        .sinks(run.sinks())
                        .recent(run.recent())
                        .kv(BlockFormat.F32)
                        .chunk(run.chunk())
                        .maxContext(run.ids().length + run.greedy().length)
                        .open()) {
                    KnownAnswersTest.check(session, run.ids(), run.logits(), run.greedy(), file + " " + run.chunk());
                }
            }
        }
    }
}
