package org.duoattention.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Libraries that stand for NVIDIA's in tests, compiled from {@code src/test/native} with g++. */
public final class Fakes {
    private Fakes() {}

    /**
     * Compiles a library; skips the test where there is no g++.
     *
     * @param source a file of {@code src/test/native}
     * @param options for the compiler, for example {@code -DVERSION=12000}
     */
    public static Path library(String source, Path target, String... options) {
        List<String> command = new ArrayList<>(List.of("g++", "-std=c++17", "-O1", "-shared", "-fPIC"));
        command.addAll(List.of(options));
        command.addAll(List.of(
                "-o",
                target.toString(),
                home().resolve("src/test/native/" + source).toString()));
        try {
            Process process =
                    new ProcessBuilder(command).redirectErrorStream(true).start();
            String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
            assertThat(process.exitValue()).as(output).isZero();
        } catch (IOException e) {
            assumeTrue(false, "no g++ here: what needs a stand-in for " + target.getFileName() + " is not tested");
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        }
        return target;
    }

    /** This module's folder, also when tests are started from another one. */
    public static Path home() {
        Path here = Path.of("").toAbsolutePath();
        return Files.exists(here.resolve("src/build/CompileKernels.java"))
                ? here
                : here.resolveSibling("duo-backend-cuda");
    }
}
