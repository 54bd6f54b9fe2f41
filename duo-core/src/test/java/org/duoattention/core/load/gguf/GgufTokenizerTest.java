package org.duoattention.core.load.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import org.duoattention.core.DuoException;
import org.duoattention.core.load.CheckpointFiles;
import org.duoattention.core.tokenizer.Tokenizer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Both kinds of tokenizer, against SentencePiece itself and against words that are cut by hand. */
class GgufTokenizerTest {
    private static final Path FILES = Path.of("src", "test", "resources", "gguf");
    private static final String[] MERGES = {
        "1 2",
        "12 3",
        "123 4",
        "a b",
        "ab c",
        "\u0120 ab",
        "\u0120ab c",
        "' s",
        "A B",
        "ab AB",
        "\u00c3 \u00a9",
        "! !",
        "\u010a \u010a"
    };

    @TempDir
    Path directory;

    @Test
    void sentencePieceVocabulariesGiveTheTokensOfSentencePiece() {
        try (Arena arena = Arena.ofShared();
                Tokenizer tokenizer =
                        load(FILES.resolve("sentencepiece.gguf"), arena).orElseThrow()) {
            JsonNode cases = JsonMapper.shared().readTree(FILES.resolve("sentencepiece.json"));
            assertThat(cases.size()).isGreaterThan(30);
            for (JsonNode node : cases) {
                String text = node.get("text").stringValue();
                int[] ids = IntStream.range(0, node.get("ids").size())
                        .map(i -> node.get("ids").get(i).intValue())
                        .toArray();
                assertThat(tokenizer.encode(text, false)).as("\"%s\"", text).isEqualTo(ids);
                int[] framed = tokenizer.encode(text, true);
                assertThat(framed[0]).isEqualTo(1);
                assertThat(Arrays.copyOfRange(framed, 1, framed.length)).isEqualTo(ids);
                // The sign that stands for a space cannot be told from one.
                assertThat(tokenizer.decode(framed, true)).isEqualTo(text.replace('\u2581', ' '));
            }
            assertThat(tokenizer.encode("a</s><|user|>", false)).endsWith(2, 3);
            assertThat(tokenizer.isSpecial(2)).isTrue();
            assertThat(tokenizer.isSpecial(3)).isFalse();
            assertThat(tokenizer.isRawByte(4)).isTrue();
            assertThat(tokenizer.specialTokens().text("eos_token")).hasValue("</s>");
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            llama-bpe | 1234      | 123 4
            smaug-bpe | 1234      | 123 4
            qwen2     | 1234      | 1 2 3 4
            gpt-2     | 1234      | 1234
            smollm    | 1234      | 1 2 3 4
            tekken    | 1234      | 1 2 3 4
            default   | 1234      | 123 4
            llama-bpe | abc's abc | abc 's _abc
            gpt-2     | abc's abc | abc 's _ abc
            smaug-bpe | abAB      | abAB
            tekken    | abAB      | ab AB
            llama-bpe | abc!!1    | abc !! 1
            default   | abc!!1    | abc !! 1
            qwen2     | !abc      | ! abc
            """)
    void wordsAreCutAsTheNameSays(String pre, String text, String expected) {
        try (Arena arena = Arena.ofShared();
                Tokenizer tokenizer = load(byteLevel(pre, writer -> {}), arena).orElseThrow()) {
            assertThat(spelled(tokenizer, text)).isEqualTo(expected);
            assertThat(tokenizer.decode(tokenizer.encode(text, false), false)).isEqualTo(text);
        }
    }

    @Test
    void qwenComposesCharacters() {
        try (Arena arena = Arena.ofShared();
                Tokenizer qwen = load(byteLevel("qwen2", writer -> {}), arena).orElseThrow()) {
            assertThat(qwen.encode("e\u0301", false)).isEqualTo(qwen.encode("\u00e9", false));
        }
    }

    @Test
    void onlyLlamasTakeAWholeWordThatIsNoResultOfMerges() {
        // "xyz" is a token but no merge leads to it.
        for (String pre : List.of("llama-bpe", "smaug-bpe")) {
            try (Arena arena = Arena.ofShared();
                    Tokenizer tokenizer =
                            load(byteLevel(pre, writer -> {}), arena).orElseThrow()) {
                assertThat(spelled(tokenizer, "xyz")).isEqualTo(pre.equals("llama-bpe") ? "xyz" : "x y z");
            }
        }
    }

    @ParameterizedTest
    @CsvSource({
        "llama-bpe, , true",
        "llama-bpe, false, false",
        "qwen2, , false",
        "qwen2, true, true",
        "tekken, , true",
    })
    void bosIsAddedWhereTheFileOrTheNameSaysSo(String pre, String flag, boolean added) {
        Path file = byteLevel(pre, writer -> {
            if (flag != null) {
                writer.bool("tokenizer.ggml.add_bos_token", Boolean.parseBoolean(flag));
            }
        });
        try (Arena arena = Arena.ofShared();
                Tokenizer tokenizer = load(file, arena).orElseThrow()) {
            int bos = tokenizer.specialTokens().id("bos_token").orElseThrow();
            assertThat(tokenizer.encode("abc", true)[0] == bos).isEqualTo(added);
            assertThat(tokenizer.encode("abc", false)[0]).isNotEqualTo(bos);
        }
    }

    @Test
    void eosIsAddedWhereTheFileSaysSo() {
        Path file = byteLevel("qwen2", writer -> writer.bool("tokenizer.ggml.add_eos_token", true));
        try (Arena arena = Arena.ofShared();
                Tokenizer tokenizer = load(file, arena).orElseThrow()) {
            int eos = tokenizer.specialTokens().id("eos_token").orElseThrow();
            assertThat(tokenizer.encode("abc", true)).endsWith(eos).hasSize(2);
        }
    }

    @Test
    void aFileWithoutVocabularyHasNoTokenizer() {
        Path file = directory.resolve("m.gguf");
        CheckpointFiles.write(
                file,
                new GgufWriter().string("tokenizer.ggml.model", "no_vocab").build());
        try (Arena arena = Arena.ofShared()) {
            assertThat(load(file, arena)).isEmpty();
        }
    }

    @Test
    void whatIsNotSupportedIsNamed() {
        refused(byteLevel("jais", writer -> {}), "tokenizer.ggml.pre", "jais", "llama-bpe", "qwen2");
        refused(file(base("t5", List.of("a"))), "tokenizer.ggml.model", "t5", "gpt2", "llama");
        refused(
                file(base("gpt2", List.of("a", "b")).strings("tokenizer.ggml.merges", List.of("a b"))),
                "tokenizer.ggml.pre",
                "missing");
        refused(
                file(base("gpt2", List.of("a", "b", "a")).string("tokenizer.ggml.pre", "gpt-2")),
                "tokenizer.ggml.tokens",
                "at 0 and at 2");
        refused(
                file(base("gpt2", List.of("a", "b"))
                        .string("tokenizer.ggml.pre", "gpt-2")
                        .strings("tokenizer.ggml.merges", List.of("ab"))),
                "tokenizer.ggml.merges",
                "\"ab\"");
        refused(
                file(base("gpt2", List.of("a", "b"))
                        .string("tokenizer.ggml.pre", "gpt-2")
                        .strings("tokenizer.ggml.merges", List.of("a c"))),
                "tokenizer");
        refused(
                file(base("gpt2", List.of("a", "b")).integers("tokenizer.ggml.token_type", 1)),
                "tokenizer.ggml.token_type",
                "2 elements");
        refused(
                file(base("llama", List.of("a", "b")).floats("tokenizer.ggml.scores", 1f)),
                "tokenizer.ggml.scores",
                "2 elements");
        refused(
                file(base("llama", List.of("a", "b")).floats("tokenizer.ggml.scores", 1f, Float.NaN)),
                "tokenizer.ggml.scores",
                "NaN");
        refused(
                file(base("llama", List.of("a", "b"))
                        .floats("tokenizer.ggml.scores", 1f, 2f)
                        .uint32("tokenizer.ggml.bos_token_id", 2)),
                "bos_token_id",
                "0 to 1");
    }

    private void refused(Path file, String... parts) {
        try (Arena arena = Arena.ofShared()) {
            assertThatThrownBy(() -> load(file, arena))
                    .isInstanceOf(DuoException.class)
                    .hasMessageContaining("m.gguf")
                    .hasMessageContainingAll(parts);
        }
    }

    private static Optional<Tokenizer> load(Path file, Arena arena) {
        return GgufTokenizer.load(GgufFile.map(file, arena).header().metadata());
    }

    private Path file(GgufWriter writer) {
        Path file = directory.resolve("m.gguf");
        CheckpointFiles.write(file, writer.build());
        return file;
    }

    private static GgufWriter base(String model, List<String> tokens) {
        return new GgufWriter().string("tokenizer.ggml.model", model).strings("tokenizer.ggml.tokens", tokens);
    }

    /** All bytes, what {@link #MERGES} make of them, "xyz", and two control tokens. */
    private Path byteLevel(String pre, Consumer<GgufWriter> more) {
        List<String> tokens = new ArrayList<>();
        int next = 256;
        for (int b = 0; b < 256; b++) {
            boolean printable = b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE;
            tokens.add(Character.toString(printable ? b : next++));
        }
        for (String merge : MERGES) {
            tokens.add(merge.replace(" ", ""));
        }
        tokens.add("xyz");
        tokens.add("<begin>");
        tokens.add("<end>");
        int[] types = new int[tokens.size()];
        Arrays.fill(types, 1);
        types[types.length - 1] = 3;
        types[types.length - 2] = 3;
        GgufWriter writer = base("gpt2", tokens)
                .string("tokenizer.ggml.pre", pre)
                .integers("tokenizer.ggml.token_type", types)
                .strings("tokenizer.ggml.merges", List.of(MERGES))
                .uint32("tokenizer.ggml.bos_token_id", types.length - 2)
                .uint32("tokenizer.ggml.eos_token_id", types.length - 1);
        more.accept(writer);
        return file(writer);
    }

    /** The text of each token, with spaces shown as underscores. */
    private static String spelled(Tokenizer tokenizer, String text) {
        return Arrays.stream(tokenizer.encode(text, false))
                .mapToObj(id -> tokenizer.decode(new int[] {id}, false).replace(' ', '_'))
                .reduce((a, b) -> a + " " + b)
                .orElse("");
    }
}
