package org.duoattention.backend.cuda.blas;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.duoattention.backend.cuda.Fakes;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The bindings' own code is real here, what they bind to is not. */
class CublasLtTest {
    @TempDir
    private static Path folder;

    private static void library(String source, String soname, String... options) {
        if (!Files.exists(folder.resolve(soname))) {
            String[] all = new String[options.length + 1];
            System.arraycopy(options, 0, all, 1, options.length);
            all[0] = "-Wl,-soname," + soname;
            Fakes.library(source, folder.resolve(soname), all);
        }
    }

    private static String run(Path libraries, String environment, String... arguments)
            throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-Dduo.cuda.libraries=" + libraries,
                "-Dorg.bytedeco.javacpp.cachedir=" + folder.resolve("javacpp"),
                "-cp",
                System.getProperty("java.class.path"),
                ProductProgram.class.getName()));
        command.addAll(List.of(arguments));
        ProcessBuilder builder = new ProcessBuilder(command);
        builder.environment().keySet().removeAll(List.of("LD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX"));
        builder.environment().putAll(Map.of("DUO_TEST_BLAS", environment, "LD_LIBRARY_PATH", libraries.toString()));
        Process process = builder.redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();
        assertThat(process.exitValue()).as(output).isZero();
        return output;
    }

    private static Path standIns() {
        library("nothing.cpp", "libcuda.so.1");
        library("nothing.cpp", "libcudart.so.13");
        library("nothing.cpp", "libcublas.so.13");
        library("cublaslt.cpp", "libcublasLt.so.13");
        return folder;
    }

    @Test
    void multipliesRowMajorMatrices() throws Exception {
        assertThat(run(standIns(), "right").lines())
                .containsExactly(
                        "cuBLASLt 13.1.1",
                        "BF16 0.0e+00",
                        "BF16 0.0e+00",
                        "BF16 0.0e+00",
                        "F16 0.0e+00",
                        "F16 0.0e+00",
                        "F16 0.0e+00");
    }

    @Test
    void saysWhichShapesHaveNoAlgorithm() throws Exception {
        assertThat(run(standIns(), "refuse").lines()).contains("BF16 not supported", "F16 not supported");
    }

    @Test
    void namesALibraryThatIsMissing(@TempDir Path empty) throws Exception {
        String output = run(empty, "right", "open only");

        assumeFalse(output.startsWith("cuBLASLt"), "cuBLAS is installed here: what is said without it is not tested");
        assertThat(output)
                .matches("absent: libcu(dart|blasLt)\\.so\\.13 was not found; add its folder to LD_LIBRARY_PATH\n");
    }

    @Test
    void namesAFunctionThatIsMissing(@TempDir Path other) throws Exception {
        standIns();
        for (String soname : List.of("libcuda.so.1", "libcudart.so.13", "libcublas.so.13")) {
            Files.copy(folder.resolve(soname), other.resolve(soname));
        }
        Fakes.library(
                "cublaslt.cpp",
                other.resolve("libcublasLt.so.13"),
                "-Wl,-soname,libcublasLt.so.13",
                "-DcublasLtMatmul=cublasLtProduct");

        assertThat(run(other, "right")).isEqualTo("absent: libcublasLt.so.13 has no function cublasLtMatmul\n");
    }

    @Test
    void survivesBindingsThatCannotBeLoaded(@TempDir Path other) throws Exception {
        standIns();
        // Without a driver the bindings' library cannot be linked.
        for (String soname : List.of("libcudart.so.13", "libcublas.so.13", "libcublasLt.so.13")) {
            Files.copy(folder.resolve(soname), other.resolve(soname));
        }

        assertThat(run(other, "right")).startsWith("absent: the bindings of cuBLAS cannot be loaded: ");
    }
}
