package org.duoattention.backend.cuda.blas;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.duoattention.backend.cuda.Fakes;

/** Stand-ins for NVIDIA's libraries, and processes that find no others. */
public final class StandIns {
    private StandIns() {}

    /** Makes them in a folder, if they are not there. */
    public static Path into(Path folder) {
        library(folder, "nothing.cpp", "libcuda.so.1");
        library(folder, "nothing.cpp", "libcudart.so.13");
        library(folder, "nothing.cpp", "libcublas.so.13");
        library(folder, "cublaslt.cpp", "libcublasLt.so.13");
        return folder;
    }

    private static void library(Path folder, String source, String soname) {
        if (!Files.exists(folder.resolve(soname))) {
            Fakes.library(source, folder.resolve(soname), "-Wl,-soname," + soname);
        }
    }

    /**
     * Runs a program whose libraries are those of a folder; returns what it printed.
     *
     * @param cache where JavaCPP may keep its own libraries
     * @param behaviour what the stand-in of cuBLASLt shall do
     */
    public static String run(Class<?> program, Path libraries, Path cache, String behaviour, String... arguments)
            throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-Dduo.cuda.libraries=" + libraries,
                "-Dorg.bytedeco.javacpp.cachedir=" + cache,
                "-cp",
                System.getProperty("java.class.path"),
                program.getName()));
        command.addAll(List.of(arguments));
        ProcessBuilder builder = new ProcessBuilder(command);
        builder.environment().keySet().removeAll(List.of("VIRTUAL_ENV", "CONDA_PREFIX"));
        builder.environment().putAll(Map.of("DUO_TEST_BLAS", behaviour, "LD_LIBRARY_PATH", libraries.toString()));
        Process process = builder.redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
        assertThat(process.exitValue()).as(output).isZero();
        return output;
    }
}
