package org.duoattention.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import org.duoattention.backend.cuda.kernel.DirectoryImages;
import org.junit.jupiter.api.Test;

/** The program that measures kernels on a GPU runs, and prints figures that scripts can read: times mean nothing here. */
class GpuMeasurementsTest {
    @Test
    void measuresEverything() {
        ByteArrayOutputStream out = new ByteArrayOutputStream();

        GpuMeasurements.measure(
                new CudaBackend(EmulatedDriver.library().toString(), new DirectoryImages(EmulatedDriver.kernels())),
                Map.of("libraries", "none"),
                new PrintStream(out, true, StandardCharsets.UTF_8),
                new GpuMeasurements.Sizes(1 << 20, 24, List.of(1, 12), 16, 1, 1),
                40);

        assertThat(out.toString(StandardCharsets.UTF_8).lines())
                .allMatch(line -> line.matches("[^\t]+\t[0-9.]+\t[^\t]*"))
                .anyMatch(line -> line.startsWith("attention int4 at 40, share of the copy\t"))
                .anyMatch(line -> line.startsWith("causal attention of 24\t"))
                .anyMatch(line -> line.startsWith("int4 linear 4096 to 16, 12 tokens\t"))
                .anyMatch(line -> line.startsWith("upload of weights\t"))
                .anyMatch(line -> line.startsWith("growth of a cache, and its end, a page of "));
    }
}
