package org.duoattention.backend.cuda.blas;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.duoattention.backend.cuda.Fakes;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The bindings' own code is real here, what they bind to is not. */
class CublasLtTest {
    @TempDir
    private static Path folder;

    private static String run(Path libraries, String environment, String... arguments) throws Exception {
        return StandIns.run(ProductProgram.class, libraries, folder.resolve("javacpp"), environment, arguments);
    }

    private static Path standIns() {
        return StandIns.into(folder);
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
    void keepsWhatTheLatestShapesNeedAndNoMore() throws Exception {
        // Three layouts for each of 64 shapes.
        assertThat(run(standIns(), "right", "many").lines())
                .containsExactly("cuBLASLt 13.1.1", "BF16 0.0e+00", "layouts 192", "layouts 0");
    }

    @Test
    void saysWhichShapesHaveNoAlgorithm() throws Exception {
        assertThat(run(standIns(), "refuse").lines()).contains("BF16 not supported", "F16 not supported");
    }

    @Test
    void namesALibraryThatIsMissing(@TempDir Path empty) throws Exception {
        String output = run(empty, "right", "open");

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
