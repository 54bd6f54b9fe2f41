package org.duoattention.backend.cuda.kernel;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.duoattention.backend.cuda.Fakes;
import org.junit.jupiter.api.Test;

/**
 * Every kernel says how many threads it is launched with: without it the compiler may take so many registers that a launch
 * fails, which the emulated driver, knowing no registers, does not show.
 */
class LaunchBoundsTest {
    private static final Pattern KERNEL = Pattern.compile("__global__\\s+void\\s+(__launch_bounds__)?");

    @Test
    void everyKernelHasThem() throws IOException {
        try (Stream<Path> files = Files.list(Fakes.home().resolve("src/main/cuda"))) {
            List<Path> sources =
                    files.filter(file -> file.toString().endsWith(".cu")).toList();
            for (Path source : sources) {
                Matcher kernels = KERNEL.matcher(Files.readString(source));
                int count = 0;
                while (kernels.find()) {
                    assertThat(kernels.group(1))
                            .as("launch bounds of kernel %d of %s", count, source.getFileName())
                            .isNotNull();
                    count++;
                }
                assertThat(count).as("kernels of %s", source.getFileName()).isPositive();
            }
        }
    }
}
