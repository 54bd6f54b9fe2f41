package org.duoattention.core.session;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.duoattention.api.tensor.DType;
import org.junit.jupiter.api.Assumptions;

/** The checkpoints with known answers that some tests read; those tests are skipped where the folder is absent. */
final class SharedModels {
    static final List<String> NAMES =
            List.of("llama-gqa", "llama-mha-f16", "llama31-rope", "qwen2-bias", "nano-retrieval");

    private SharedModels() {}

    /**
     * The precision of RoPE frequencies that the expected answers were computed with. The four models of random weights
     * were cast to half precision as a whole before their answers were computed, frequencies included: with these rounded
     * to the weights' type a float64 forward pass agrees to 1e-5 at every length, without to 0.5 only (700 tokens).
     */
    static DType ropePrecision(String name) {
        return switch (name) {
            case "nano-retrieval" -> DType.F32;
            case "llama-mha-f16" -> DType.F16;
            default -> DType.BF16;
        };
    }

    static Path directory(String name) {
        Path directory = Path.of(System.getProperty("duo.shared", "../../shared"), "models", name);
        Assumptions.assumeTrue(
                Files.isDirectory(directory),
                () -> "skipped: " + directory + " is absent, so the answers of an independent implementation for "
                        + name + " were not compared");
        return directory;
    }
}
