package org.duoattention.core;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.file.Files;
import java.nio.file.Path;

/** Finds the checkpoints and patterns that lie outside the repository; tests that need an absent one are skipped. */
public final class SharedFiles {
    private SharedFiles() {}

    /** A path below the shared folder, or a skipped test. */
    public static Path require(String relative) {
        Path path = Path.of(System.getProperty("duo.shared", "../shared")).resolve(relative);
        assumeTrue(Files.exists(path), () -> "skipped: " + relative + " is not in the shared folder " + path);
        return path;
    }
}
