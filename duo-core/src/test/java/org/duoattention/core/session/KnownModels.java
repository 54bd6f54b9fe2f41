package org.duoattention.core.session;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.duoattention.api.tensor.DType;
import org.duoattention.core.SharedFiles;

/**
 * The checkpoints with known answers: those of the project's own test resources (written by {@code families.py}), and
 * larger ones from outside, whose tests are skipped where the folder is absent.
 */
final class KnownModels {
    static final List<String> NAMES = List.of(
            "qwen3",
            "mistral",
            "llama-bias",
            "llama-gqa",
            "llama-mha-f16",
            "llama31-rope",
            "qwen2-bias",
            "nano-retrieval");

    private static final Path OWN = Path.of("src", "test", "resources", "checkpoints");

    private KnownModels() {}

    /**
     * The precision of RoPE frequencies that the expected answers were computed with. The four models of random weights
     * from outside were cast to half precision as a whole before their answers were computed, frequencies included: with
     * these rounded to the weights' type a float64 forward pass agrees to 2e-5 at every length, without to 0.5 only (700
     * tokens).
     */
    static DType ropePrecision(String name) {
        return switch (name) {
            case "llama-mha-f16" -> DType.F16;
            case "llama-gqa", "llama31-rope", "qwen2-bias" -> DType.BF16;
            default -> DType.F32;
        };
    }

    static Path directory(String name) {
        Path own = OWN.resolve(name);
        return Files.isDirectory(own) ? own : SharedFiles.require("models/" + name);
    }
}
