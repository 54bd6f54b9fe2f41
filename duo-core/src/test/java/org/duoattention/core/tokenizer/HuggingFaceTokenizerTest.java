package org.duoattention.core.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.duoattention.core.DuoException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class HuggingFaceTokenizerTest {
    @TempDir
    Path directory;

    @Test
    void givesTheIdsOfAnotherImplementation() {
        JsonNode prompts = JsonMapper.shared()
                .readTree(NanoTokenizer.directory().resolve("expected.json"))
                .get("prompts");
        try (Tokenizer tokenizer = NanoTokenizer.load()) {
            assertThat(prompts.size()).isPositive();
            for (JsonNode prompt : prompts) {
                int[] ids = JsonMapper.shared().convertValue(prompt.get("ids"), int[].class);
                String text = prompt.get("text").stringValue();
                assertThat(tokenizer.encode(text, true))
                        .as(prompt.get("name").stringValue())
                        .isEqualTo(ids);
                assertThat(tokenizer.decode(ids, true)).isEqualTo(text);
                assertThat(tokenizer.decode(ids, false)).isEqualTo("<|begin_of_text|>" + text);
            }
        }
    }

    @Test
    void readsSpecialTokens() {
        try (Tokenizer tokenizer = NanoTokenizer.load()) {
            assertThat(tokenizer.vocabSize()).isEqualTo(1024);
            assertThat(tokenizer.specialTokens().id("bos_token")).hasValue(1022);
            assertThat(tokenizer.specialTokens().id("eos_token")).hasValue(1023);
            assertThat(tokenizer.specialTokens().id("pad_token")).isEmpty();
            assertThat(tokenizer.specialTokens().text("eos_token")).hasValue("<|end_of_text|>");
            assertThat(tokenizer.isSpecial(1022)).isTrue();
            assertThat(tokenizer.isSpecial(72)).isFalse();
            assertThat(tokenizer.encode("a<|end_of_text|>b", false)).hasSize(3).contains(1023);
        }
    }

    @Test
    void readsSpecialTokensWrittenAsObjectsAndFromTheOlderFile() throws IOException {
        Files.writeString(directory.resolve("tokenizer_config.json"), """
                {"bos_token": {"content": "<s>", "lstrip": false}, "pad_token": null,
                 "add_bos_token": true, "added_tokens_decoder": {"7": {"content": "<s>"}}}""");
        Files.writeString(
                directory.resolve("special_tokens_map.json"), "{\"bos_token\": \"<other>\", \"eos_token\": \"</s>\"}");
        SpecialTokens tokens = SpecialTokens.load(directory);
        assertThat(tokens.named()).isEqualTo(Map.of("bos_token", "<s>", "eos_token", "</s>"));
        assertThat(tokens.id("bos_token")).hasValue(7);
        assertThat(tokens.id("eos_token")).isEmpty();
    }

    @Test
    void takesEveryCharacterAndNeverTruncatesOrPads() throws IOException {
        try (Tokenizer tokenizer = TinyTokenizers.bytes(directory)) {
            String text = "a\0b é 漢 \uD83D\uDE00 \u200B\uFEFF\uFFFD".repeat(100);
            byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
            int[] ids = tokenizer.encode(text, true);
            assertThat(ids).hasSize(utf8.length);
            for (int i = 0; i < ids.length; i++) {
                assertThat(ids[i]).isEqualTo(utf8[i] & 0xFF);
            }
            assertThat(tokenizer.decode(ids, true)).isEqualTo(text);
            assertThat(tokenizer.encode("a", true)).containsExactly('a');
            assertThat(tokenizer.encode("", true)).isEmpty();
            assertThat(tokenizer.decode(new int[0], true)).isEmpty();
        }
    }

    @Test
    void encodesAMillionCharacters() throws IOException {
        try (Tokenizer tokenizer = TinyTokenizers.bytes(directory)) {
            String text = "0123456789".repeat(100_000);
            assertThat(tokenizer.encode(text, false)).hasSize(1_000_000);
        }
    }

    @Test
    void idsBeyondTheVocabularyHaveNoText() throws IOException {
        try (Tokenizer tokenizer = TinyTokenizers.bytes(directory)) {
            assertThat(tokenizer.decode(new int[] {'a', 100_000, 'b'}, true)).isEqualTo("ab");
            assertThatThrownBy(() -> tokenizer.decode(new int[] {'a', -1}, true))
                    .isInstanceOf(DuoException.class)
                    .hasMessage("Token id -1 at position 1 is negative; expected 0 to 256.");
        }
    }

    @Test
    void refusesHalfACharacter() throws IOException {
        try (Tokenizer tokenizer = TinyTokenizers.bytes(directory)) {
            for (String text : new String[] {"ab\uD83D", "ab\uD83Dx", "ab\uDE00"}) {
                assertThatThrownBy(() -> tokenizer.encode(text, true))
                        .isInstanceOf(DuoException.class)
                        .hasMessageContaining("half of a surrogate pair at index 2");
            }
        }
    }

    @Test
    void servesSeveralThreadsAndRefusesUseAfterClose() throws IOException, InterruptedException, ExecutionException {
        Tokenizer tokenizer = TinyTokenizers.bytes(directory);
        try (ExecutorService threads = Executors.newFixedThreadPool(4)) {
            List<Future<String>> results = new ArrayList<>();
            for (int i = 0; i < 64; i++) {
                String text = "text " + i;
                results.add(threads.submit(() -> tokenizer.decode(tokenizer.encode(text, false), false)));
            }
            for (int i = 0; i < results.size(); i++) {
                assertThat(results.get(i).get()).isEqualTo("text " + i);
            }
        }
        tokenizer.close();
        tokenizer.close();
        assertThatThrownBy(() -> tokenizer.encode("a", false)).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> tokenizer.decode(new int[] {1}, false)).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void saysWhenThereIsNoTokenizer() {
        assertThat(HuggingFaceTokenizer.isPresent(directory)).isFalse();
        assertThatThrownBy(() -> HuggingFaceTokenizer.load(directory))
                .isInstanceOf(DuoException.class)
                .hasMessage(directory + " has no tokenizer.json; add the checkpoint's tokenizer, or give token ids with"
                        + " --ids, which needs no tokenizer.");
        assertThatThrownBy(() -> HuggingFaceTokenizer.load(directory.resolve("absent")))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("is not a directory");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "{",
                "[]",
                "{}",
                "not json",
                "{\"model\": {\"vocab\": {}}}",
                "{\"model\": {\"vocab\": {\"a\": -1}}}",
                "{\"model\": {\"vocab\": {\"a\": 99999999999}}}",
                "{\"model\": {\"vocab\": {\"a\": 1e300}}}",
                "{\"model\": {\"vocab\": {\"a\": \"b\"}}}",
                "{\"model\": {\"vocab\": [[\"a\", ",
                "{\"model\": {\"type\": \"Unheard\", \"vocab\": {\"a\": 0}}}",
                "{\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0}, \"merges\": [\"a z\"]}}",
                "{\"decoder\": {\"type\": ",
            })
    void refusesMalformedFiles(String json) throws IOException {
        Files.writeString(directory.resolve("tokenizer.json"), json);
        assertThatThrownBy(() -> HuggingFaceTokenizer.load(directory))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining(directory.resolve("tokenizer.json").toString())
                .hasMessageContaining("--ids");
    }

    @Test
    void refusesFilesThatAreNotUtf8() throws IOException {
        Files.write(directory.resolve("tokenizer.json"), new byte[] {'{', '"', (byte) 0xFF, '"', '}'});
        assertThatThrownBy(() -> HuggingFaceTokenizer.load(directory))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("UTF-8")
                .hasMessageContaining("--ids");
    }

    @Test
    void survivesDamagedFiles() throws IOException {
        TinyTokenizers.sentencePiece(directory).close();
        byte[] good = Files.readAllBytes(directory.resolve("tokenizer.json"));
        Random random = new Random(7);
        int refused = 0;
        for (int round = 0; round < 300; round++) {
            byte[] bad = good.clone();
            for (int edits = random.nextInt(4); edits >= 0; edits--) {
                bad[random.nextInt(bad.length)] = (byte) random.nextInt(32, 127);
            }
            Files.write(directory.resolve("tokenizer.json"), bad);
            try (Tokenizer tokenizer = HuggingFaceTokenizer.load(directory)) {
                tokenizer.encode("a b é \uD83D\uDE00", true);
            } catch (DuoException e) {
                assertThat(e).hasMessageContaining("--ids");
                refused++;
            }
        }
        assertThat(refused).isBetween(50, 300);
    }

    @Test
    void refusesMalformedConfiguration() throws IOException {
        Files.writeString(directory.resolve("tokenizer_config.json"), "{\"bos_token\": ");
        assertThatThrownBy(() -> SpecialTokens.load(directory))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("tokenizer_config.json: not valid JSON");
        Files.writeString(directory.resolve("tokenizer_config.json"), "[1]");
        assertThatThrownBy(() -> SpecialTokens.load(directory)).hasMessageContaining("holds no JSON object");
        Files.writeString(
                directory.resolve("tokenizer_config.json"),
                "{\"added_tokens_decoder\": {\"x\": {\"content\": \"a\"}}}");
        assertThatThrownBy(() -> SpecialTokens.load(directory)).hasMessageContaining("expected a token id");
    }
}
