package org.duoattention.backend.cuda.probe;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.Requirements;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.backend.cuda.Fakes;
import org.duoattention.backend.cuda.probe.DriverProbe.Answer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DriverProbeTest {
    private static final long GIB = 1L << 30;
    private static final ModelShape LLAMA_3_8B = new ModelShape(32, 4096, 32, 8, 128, 14336, 128256);

    @TempDir
    private static Path folder;

    private static String driver;

    /** The driver with these properties. */
    private static DriverProbe driver(int version, int ofInit, int devices, int capability, long memory)
            throws Throwable {
        if (driver == null) {
            driver = Fakes.library("driver.cpp", folder.resolve("libcuda.so")).toString();
        }
        Linker.nativeLinker()
                .downcallHandle(
                        SymbolLookup.libraryLookup(driver, Arena.global())
                                .find("duo_test_driver")
                                .orElseThrow(),
                        FunctionDescriptor.ofVoid(
                                ValueLayout.JAVA_INT,
                                ValueLayout.JAVA_INT,
                                ValueLayout.JAVA_INT,
                                ValueLayout.JAVA_INT,
                                ValueLayout.JAVA_LONG))
                .invoke(version, ofInit, devices, capability, memory);
        return new DriverProbe(driver, List.of("cuInit", "cuDeviceGet"));
    }

    private static String reason(Answer answer) {
        assertThat(answer).isInstanceOf(Answer.Unusable.class);
        return ((Answer.Unusable) answer).reason();
    }

    private static Optional<Requirements> requirements(Set<Capability> capabilities) {
        return Optional.of(new Requirements(
                "llama-3-8b", LLAMA_3_8B, Set.of(DType.BF16, DType.F32), BlockFormat.F16, capabilities));
    }

    @Test
    void describesTheGpu() throws Throwable {
        assertThat(driver(13000, 0, 2, 90, 80L * GIB).look(1))
                .isEqualTo(new Answer.Usable(new Gpu(1, "Stand-in", 9, 0, 80L * GIB, 13000)));
        assertThat(new Gpu(1, "Stand-in", 9, 0, 80_000_000_000L, 12060).description())
                .isEqualTo("GPU 1, Stand-in, 80.0 GB, driver for CUDA 12.6");
        assertThat(new Gpu(1, "Stand-in", 12, 0, 0, 0).arch()).isEqualTo("sm_120");
    }

    @Test
    void namesADriverThatIsMissing() {
        assertThat(reason(new DriverProbe("libduo-no-such-driver.so.1", List.of()).look(0)))
                .isEqualTo("driver not found (libduo-no-such-driver.so.1)");
    }

    @Test
    void findsOutQuicklyThatThereIsNoDriver() {
        List<Long> millis = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            long start = System.nanoTime();
            assertThat(new DriverProbe("libduo-no-such-driver.so.1", List.of()).first(Optional.empty()))
                    .isInstanceOf(Answer.Unusable.class);
            millis.add((System.nanoTime() - start) / 1_000_000);
        }
        millis.sort(null);
        assertThat(millis.get(10)).as("median of %s ms", millis).isLessThan(50);
    }

    @Test
    void refusesALibraryThatIsNoDriver() {
        Path other = Fakes.library("nothing.cpp", folder.resolve("libother.so"));

        assertThat(reason(new DriverProbe(other.toString(), List.of()).look(0)))
                .isEqualTo(other + " is no driver of CUDA: it has no function cuInit");
    }

    @Test
    void refusesAnOldDriver() throws Throwable {
        assertThat(reason(driver(11080, 0, 1, 90, GIB).look(0)))
                .isEqualTo(
                        "the driver supports CUDA 11.8; 12.0 or newer is needed, so update it (NVIDIA driver 525 or newer)");
    }

    @Test
    void namesAFunctionThatTheDriverLacks() throws Throwable {
        driver(13000, 0, 1, 90, GIB);

        assertThat(reason(new DriverProbe(driver, List.of("cuInit", "cuGraphLaunch", "cuMemMap")).look(0)))
                .isEqualTo("the driver, for CUDA 13.0, has no function cuGraphLaunch; update it");
    }

    @Test
    void saysThatThereIsNoGpu() throws Throwable {
        String none = "no GPU of NVIDIA was found (see nvidia-smi and CUDA_VISIBLE_DEVICES)";

        assertThat(reason(driver(13000, 100, 0, 90, GIB).look(0))).isEqualTo(none);
        assertThat(reason(driver(13000, 0, 0, 90, GIB).look(0))).isEqualTo(none);
    }

    @Test
    void namesTheErrorOfADriverThatDoesNotWork() throws Throwable {
        assertThat(reason(driver(13000, 803, 1, 90, GIB).look(0)))
                .isEqualTo("the driver is there but does not work: cuInit gave CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"
                        + " (is its kernel module loaded?)");
        assertThat(reason(driver(13000, 999, 1, 90, GIB).look(0))).contains("cuInit gave error 999");
    }

    @Test
    void saysWhichGpusThereAre() throws Throwable {
        assertThat(reason(driver(13000, 0, 1, 90, GIB).look(3))).isEqualTo("there is no GPU 3; the only one is 0");
        assertThat(reason(driver(13000, 0, 4, 90, GIB).look(4))).isEqualTo("there is no GPU 4; they are 0 to 3");
        assertThat(reason(driver(13000, 0, 4, 90, GIB).look(-1))).isEqualTo("there is no GPU -1; they are 0 to 3");
    }

    @Test
    void refusesAnOldGpu() throws Throwable {
        assertThat(reason(driver(13000, 0, 1, 75, GIB).look(0)))
                .isEqualTo("GPU 0, Stand-in, has compute capability 7.5; 8.0 or newer is needed");
        assertThat(driver(13000, 0, 1, 80, GIB).look(0)).isInstanceOf(Answer.Usable.class);
    }

    @Test
    void refusesAModelThatCannotFit() throws Throwable {
        // 32 layers of 2 * 4096^2 + 2 * 4096 * 1024 + 3 * 4096 * 14336, and a table of 128256 * 4096, at two bytes
        // each.
        assertThat(reason(driver(13000, 0, 1, 80, 8_000_000_000L).first(requirements(Set.of()))))
                .isEqualTo(
                        "GPU 0, Stand-in, has 8.0 GB of memory; the weights of llama-3-8b alone take 15.0 GB or more");
        assertThat(driver(13000, 0, 1, 80, 8_000_000_000L).first(requirements(Set.of(Capability.QUANTIZED_WEIGHTS))))
                .isInstanceOf(Answer.Usable.class);
    }

    @Test
    void takesTheFirstGpuThatCanBeUsed() throws Throwable {
        assertThat(driver(13000, 0, 3, 80 + 100 * 2, GIB).first(Optional.empty()))
                .isEqualTo(new Answer.Usable(new Gpu(2, "Stand-in", 8, 0, GIB, 13000)));
        assertThat(reason(driver(13000, 0, 3, 75, GIB).first(Optional.empty())))
                .startsWith("GPU 0, Stand-in, has compute");
    }
}
