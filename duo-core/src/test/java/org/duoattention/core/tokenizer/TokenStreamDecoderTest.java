package org.duoattention.core.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TokenStreamDecoderTest {
    @TempDir
    Path directory;

    @Test
    void withholdsHalfACharacter() throws IOException {
        try (Tokenizer tokenizer = TinyTokenizers.bytes(directory)) {
            TokenStreamDecoder stream = tokenizer.stream(true);
            List<String> pieces = new ArrayList<>();
            for (byte b : "aé\uD83D\uDE00b".getBytes(StandardCharsets.UTF_8)) {
                pieces.add(stream.push(b & 0xFF));
            }
            pieces.add(stream.flush());
            assertThat(pieces).containsExactly("a", "", "é", "", "", "", "\uD83D\uDE00", "b", "");
        }
    }

    @Test
    void flushGivesWhatNeverBecameACharacterAndStartsAfresh() throws IOException {
        try (Tokenizer tokenizer = TinyTokenizers.bytes(directory)) {
            TokenStreamDecoder stream = tokenizer.stream(true);
            assertThat(stream.push(0xE6)).isEmpty();
            assertThat(stream.push(0xBC)).isEmpty();
            assertThat(stream.flush()).isEqualTo("\uFFFD");
            assertThat(stream.flush()).isEmpty();
            assertThat(stream.push('a')).isEqualTo("a");
        }
    }

    @Test
    void leavesSpecialTokensOutOnlyWhenAsked() throws IOException {
        try (Tokenizer tokenizer = TinyTokenizers.bytes(directory)) {
            int[] ids = {'a', 256, 'b'};
            assertThat(streamed(tokenizer, ids, true)).isEqualTo("ab");
            assertThat(streamed(tokenizer, ids, false)).isEqualTo("a<end>b");
        }
    }

    @Test
    void anEndlessRunOfBadBytesIsStillStreamed() throws IOException {
        try (Tokenizer tokenizer = TinyTokenizers.bytes(directory)) {
            TokenStreamDecoder stream = tokenizer.stream(true);
            int length = 0;
            for (int i = 0; i < 10_000; i++) {
                length += stream.push(0xFF).length();
            }
            assertThat(length).isEqualTo(9_999);
            assertThat(stream.flush()).isEqualTo("\uFFFD");
        }
    }

    @Test
    void equalsDecodingAtOnceForRandomBytes() throws IOException {
        try (Tokenizer tokenizer = TinyTokenizers.bytes(directory)) {
            Random random = new Random(1);
            int[] likely = {0xC3, 0xE2, 0xED, 0xF0, 0xF4, 0x80, 0x9F, 0xA0, 0xBF, 'a', 0xEF, 0xBF, 0xBD, 256, 300};
            for (int round = 0; round < 2_000; round++) {
                int[] ids = new int[random.nextInt(60)];
                for (int i = 0; i < ids.length; i++) {
                    ids[i] = random.nextInt(10) == 0 ? random.nextInt(256) : likely[random.nextInt(likely.length)];
                }
                boolean skip = random.nextBoolean();
                assertThat(streamed(tokenizer, ids, skip)).isEqualTo(tokenizer.decode(ids, skip));
            }
        }
    }

    @Test
    void equalsDecodingAtOnceForSentencePieceWithRawBytes() throws IOException {
        try (Tokenizer tokenizer = TinyTokenizers.sentencePiece(directory)) {
            assertThat(tokenizer.decode(tokenizer.encode("a ab\uD83D\uDE00é", false), true))
                    .isEqualTo("a ab\uD83D\uDE00é");
            Random random = new Random(2);
            int[] likely = {0, 1, 2, 3 + 0xF0, 3 + 0x9F, 3 + 0x98, 3 + 0x80, 3 + 'x', 259, 259, 260, 262, 262, 263, 264
            };
            for (int round = 0; round < 2_000; round++) {
                int[] ids = new int[random.nextInt(60)];
                for (int i = 0; i < ids.length; i++) {
                    ids[i] = likely[random.nextInt(likely.length)];
                }
                boolean skip = random.nextBoolean();
                assertThat(streamed(tokenizer, ids, skip)).isEqualTo(tokenizer.decode(ids, skip));
            }
        }
    }

    @Test
    void equalsDecodingAtOnceForATrainedVocabulary() {
        try (Tokenizer tokenizer = NanoTokenizer.load()) {
            Random random = new Random(3);
            for (int round = 0; round < 500; round++) {
                int[] ids = random.ints(random.nextInt(80), 0, 1024).toArray();
                assertThat(streamed(tokenizer, ids, true)).isEqualTo(tokenizer.decode(ids, true));
            }
            int[] text = tokenizer.encode("Straße – 漢字 \uD83D\uDC68\u200D\uD83D\uDC69 naïve\n\n", true);
            assertThat(streamed(tokenizer, text, true))
                    .isEqualTo("Straße – 漢字 \uD83D\uDC68\u200D\uD83D\uDC69 naïve\n\n");
        }
    }

    /** Joins the pieces and checks that none begins or ends inside a surrogate pair. */
    private static String streamed(Tokenizer tokenizer, int[] ids, boolean skip) {
        TokenStreamDecoder stream = tokenizer.stream(skip);
        StringBuilder joined = new StringBuilder();
        for (int id : ids) {
            joined.append(whole(stream.push(id)));
        }
        return joined.append(whole(stream.flush())).toString();
    }

    private static String whole(String piece) {
        if (!piece.isEmpty()) {
            assertThat(Character.isLowSurrogate(piece.charAt(0))).isFalse();
            assertThat(Character.isHighSurrogate(piece.charAt(piece.length() - 1)))
                    .isFalse();
        }
        return piece;
    }
}
