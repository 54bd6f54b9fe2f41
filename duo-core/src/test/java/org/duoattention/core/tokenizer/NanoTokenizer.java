package org.duoattention.core.tokenizer;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;

/** Finds the nano-retrieval checkpoint, whose expected.json comes from another implementation. */
final class NanoTokenizer {
    private NanoTokenizer() {}

    static Path directory() {
        Path path = Path.of(System.getProperty("duo.shared", "../shared"), "models", "nano-retrieval");
        assumeTrue(
                Files.isDirectory(path),
                () -> "skipped: no checkpoint at " + path.toAbsolutePath()
                        + "; set -Dduo.shared to the folder that has it");
        return path;
    }

    static HuggingFaceTokenizer load() {
        return HuggingFaceTokenizer.load(directory());
    }
}
