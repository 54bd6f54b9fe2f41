package org.duoattention.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import org.duoattention.backend.cuda.blas.StandIns;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The check of a library before it is used, on the emulated driver. */
class ProductsTest {
    @TempDir
    private static Path folder;

    private static String open(Path libraries, String behaviour) throws Exception {
        return StandIns.run(
                ProductsProgram.class,
                libraries,
                folder.resolve("javacpp"),
                behaviour,
                EmulatedDriver.library().toString());
    }

    @Test
    void usesALibraryThatComputesRight() throws Exception {
        assertThat(open(StandIns.into(folder), "right").lines().toList())
                .satisfiesExactly(
                        description -> assertThat(description).endsWith(", cuBLASLt 13.1.1"),
                        product -> assertThat(product).isEqualTo("true, allocated 0"));
    }

    @Test
    void leavesALibraryThatComputesWrong() throws Exception {
        assertThat(open(StandIns.into(folder), "wrong").lines().toList())
                .satisfiesExactly(
                        description -> assertThat(description)
                                .endsWith(", own matrix products (cuBLASLt 13.1.1 computed a product wrong)"),
                        product -> assertThat(product).isEqualTo("false, allocated 0"));
    }

    @Test
    void leavesALibraryThatRefuses() throws Exception {
        assertThat(open(StandIns.into(folder), "refuse")).contains("own matrix products (", "false, allocated 0");
    }

    @Test
    void saysThatThereIsNoLibrary(@TempDir Path empty) throws Exception {
        assertThat(open(empty, "wrong")).contains("own matrix products (", "false, allocated 0");
    }
}
