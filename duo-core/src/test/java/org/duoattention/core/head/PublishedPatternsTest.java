package org.duoattention.core.head;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import org.duoattention.api.head.HeadMask;
import org.duoattention.core.SharedFiles;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * The six patterns that the authors of DuoAttention publish. The expected selections were derived with numpy: {@code
 * argsort(-clip(loadtxt(f), 0, 1).ravel(), kind='stable')}, the first half or quarter of it, as a string of 0 and 1 in
 * (layer, head) order, hashed by SHA-256. In both Mistral patterns about 20 scores tie at the 50 % cut and more than 100
 * at the 75 % cut, so the hashes also fix how ties are settled.
 */
class PublishedPatternsTest {
    private static final String RUN = "lr=0.02-reg=0.05-ctx=1000_";

    @ParameterizedTest
    @CsvSource({
        "Llama-2-7B-32K-Instruct, 32000, 32, 512, 22bd0ab409ae2a9d, e7e05e212de49904, 446",
        "Llama-3-8B-Instruct-Gradient-1048k, 32000, 8, 128, fa744197fb5eb31f, 08b830ba12c8dc29, 208",
        "Llama-3-8B-Instruct-Gradient-4194k, 32000, 8, 128, 387f49bff15be044, f1e5df7aba294a55, 208",
        "Meta-Llama-3.1-8B-Instruct, 128000, 8, 128, 61731e58dc31312f, 0a6c3f2e9a02998b, 234",
        "Mistral-7B-Instruct-v0.2, 32000, 8, 128, fd9985da968dc9d3, 3e25c4a90db1f3c7, 244",
        "Mistral-7B-Instruct-v0.3, 32000, 8, 128, 6cecc6308576c336, 99002e0f1616acd9, 240"
    })
    void loadAndSelect(
            String model, String context, int kvHeads, int half, String hashOfHalf, String hashOfQuarter, int atHalf) {
        Path directory = SharedFiles.require("attn_patterns/" + model + "/" + RUN + context + "-multi_passkey10");
        HeadPattern pattern = PatternDirectory.read(directory);
        assertThat(pattern.layers()).isEqualTo(32);
        assertThat(pattern.kvHeads()).isEqualTo(kvHeads);
        assertThat(pattern.sinkSize()).isEqualTo(128);
        assertThat(pattern.recentSize()).isEqualTo(256);

        HeadMask mask = new HeadSelection.BySparsity(0.5).select(pattern);
        assertThat(mask.retrievalCount()).isEqualTo(half);
        assertThat(hash(mask)).isEqualTo(hashOfHalf);
        assertThat(hash(new HeadSelection.BySparsity(0.75).select(pattern))).isEqualTo(hashOfQuarter);
        assertThat(new HeadSelection.ByThreshold(0.5).select(pattern).retrievalCount())
                .isEqualTo(atHalf);
    }

    private static String hash(HeadMask mask) {
        StringBuilder bits = new StringBuilder();
        for (int layer = 0; layer < mask.layers(); layer++) {
            for (int head = 0; head < mask.kvHeads(); head++) {
                bits.append(mask.retrieval(layer).contains(head) ? '1' : '0');
            }
        }
        try {
            byte[] digest =
                    MessageDigest.getInstance("SHA-256").digest(bits.toString().getBytes(StandardCharsets.US_ASCII));
            return HexFormat.of().formatHex(digest, 0, 8);
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError("every JDK has SHA-256", e);
        }
    }
}
