package org.duoattention.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Requirements;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.TensorSpec;
import org.junit.jupiter.api.Test;

/** A JVM that was started without the Vector API: the vector backend says so, the scalar one works. */
class MissingModuleTest {
    @Test
    void isToldFromAFreshJvm() throws IOException, InterruptedException {
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-Xmx64m",
                        "--illegal-native-access=deny",
                        "-cp",
                        System.getProperty("java.class.path", ""),
                        Main.class.getName())
                .redirectErrorStream(true)
                .start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        assertThat(process.waitFor(60, TimeUnit.SECONDS)).isTrue();

        assertThat(output.lines())
                .containsExactlyInAnyOrder(
                        "cpu Unusable[reasons=[needs jdk.incubator.vector; add --add-modules jdk.incubator.vector]]",
                        "cpu the backend cpu cannot run: needs jdk.incubator.vector; add --add-modules jdk.incubator.vector",
                        "cpu-scalar Usable",
                        "allocated 4194304");
        assertThat(process.exitValue()).isZero();
    }

    /** The program of that JVM, in which native calls are forbidden too. */
    static final class Main {
        private Main() {}

        public static void main(String[] arguments) {
            Requirements requirements = new Requirements(
                    "tiny", new ModelShape(1, 8, 2, 1, 4, 8, 10), Set.of(DType.F32), BlockFormat.F32, Set.of());
            for (AttentionBackend backend : ServiceLoader.load(AttentionBackend.class)) {
                String answer = backend.probe(requirements).toString();
                if (backend instanceof CpuScalarBackend) {
                    System.out.println(backend.id() + " " + answer.substring(0, 6));
                } else {
                    System.out.println(backend.id() + " " + answer);
                    try {
                        backend.open(Map.of());
                    } catch (IllegalStateException e) {
                        System.out.println(backend.id() + " " + e.getMessage());
                    }
                }
            }
            try (Device device = new CpuScalarBackend().open(Map.of())) {
                device.allocate(TensorSpec.of(DType.F32, 1024, 1024));
                System.out.println("allocated " + device.allocatedBytes());
            }
        }
    }
}
