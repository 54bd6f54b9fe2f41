package org.duoattention.backend.cuda.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.duoattention.backend.cuda.Fakes;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class StandardKernelImagesTest {
    private static final int CUDA_13 = 13000;
    private static final int CUDA_12 = 12060;
    private static final String KERNEL = """
            #include "prelude.cuh"
            extern "C" __global__ void add(float *x, int n) {
                int i = blockIdx.x * blockDim.x + threadIdx.x;
                if (i < n) {
                    x[i] += ONE;
                }
            }
            """;

    @TempDir
    private Path folder;

    private final Map<String, String> jar = new HashMap<>();

    @BeforeEach
    void fillTheJar() {
        jar.put("cubin/compiler.txt", "13.0\n");
        jar.put("source/add.cu", KERNEL);
        jar.put("source/prelude.cuh", "#include \"one.cuh\"\n");
        jar.put("source/one.cuh", "#pragma once\n#include \"prelude.cuh\"\n#define ONE 1.0f\n");
        for (String arch : List.of("sm_80", "sm_90", "sm_90a")) {
            jar.put("cubin/" + arch + "/add.cubin", "cubin of add for " + arch);
        }
    }

    @AfterEach
    void forgetTheCompiler() {
        System.clearProperty("duo.cuda.nvrtc");
    }

    private StandardKernelImages images(int driver, Supplier<Optional<Nvrtc>> compiler) {
        return new StandardKernelImages(
                Optional.empty(),
                name -> Optional.ofNullable(jar.get(name)).map(text -> text.getBytes(StandardCharsets.UTF_8)),
                new ImageCache(folder.resolve("cache")),
                compiler,
                driver);
    }

    /** A stand-in of version 12.6. */
    private Optional<Nvrtc> fake() {
        Path library = folder.resolve("libnvrtc.so.12");
        if (!Files.exists(library)) {
            Fakes.library("nvrtc.cpp", library);
        }
        System.setProperty("duo.cuda.nvrtc", library.toString());
        return Nvrtc.find();
    }

    private static String text(byte[] image) {
        return new String(image, StandardCharsets.UTF_8);
    }

    @ParameterizedTest
    @CsvSource({"sm_80, sm_80", "sm_86, sm_80", "sm_89, sm_80", "sm_90, sm_90a"})
    void takesTheBestCubinThatTheDeviceRuns(String device, String cubin) {
        assertThat(text(images(CUDA_13, Optional::empty).image("add", device))).isEqualTo("cubin of add for " + cubin);
        assertThat(images(CUDA_13, Optional::empty).problem(device)).isEmpty();
    }

    @Test
    void takesAPlainCubinWhereThereIsNoOther() {
        jar.remove("cubin/sm_90a/add.cubin");

        assertThat(text(images(CUDA_13, Optional::empty).image("add", "sm_90"))).isEqualTo("cubin of add for sm_90");
    }

    @Test
    void takesTheGivenFolderAlone() throws IOException {
        Files.writeString(folder.resolve("add.cubin"), "given");
        StandardKernelImages images = new StandardKernelImages(
                Optional.of(new DirectoryImages(folder)),
                name -> Optional.empty(),
                new ImageCache(folder),
                Optional::empty,
                CUDA_13);

        assertThat(text(images.image("add", "sm_90"))).isEqualTo("given");
        assertThat(images.problem("sm_20")).isEmpty();
        assertThatThrownBy(() -> images.image("other", "sm_90"))
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining(folder.resolve("other.cubin").toString());
    }

    @Test
    void saysWhyThereIsNothingForANewerDevice() {
        StandardKernelImages images = images(CUDA_13, Optional::empty);
        String reason =
                "the jar has no kernels for sm_120, and NVRTC (libnvrtc.so.13 or .12) was not found; add its folder to"
                        + " LD_LIBRARY_PATH or name the file by -Dduo.cuda.nvrtc=FILE";

        assertThat(images.problem("sm_120")).contains(reason);
        assertThatThrownBy(() -> images.image("add", "sm_120"))
                .isInstanceOf(KernelException.class)
                .hasMessage("kernel add: " + reason);
    }

    @Test
    void saysWhyAnOlderDriverCannotRunTheCubins() {
        assertThat(images(CUDA_12, Optional::empty).problem("sm_90").orElseThrow())
                .startsWith("the kernels in the jar need a driver for CUDA 13.0 or newer, and NVRTC");
    }

    @Test
    void saysThatTheBuildHadNoCompiler() {
        jar.keySet().removeIf(name -> name.startsWith("cubin/"));

        assertThat(images(CUDA_13, Optional::empty).problem("sm_90").orElseThrow())
                .startsWith("no kernels were compiled when duo was built, and NVRTC");
    }

    @Test
    void compilesForAnOlderDriverOnceAndKeepsIt() {
        StandardKernelImages images = images(CUDA_12, this::fake);

        String first = text(images.image("add", "sm_90"));

        assertThat(first)
                .isEqualTo("add.cu|" + KERNEL + "|one.cuh=" + jar.get("source/one.cuh") + ";prelude.cuh="
                        + jar.get("source/prelude.cuh") + ";|--gpu-architecture=sm_90a|--std=c++17");
        jar.put("source/add.cu", KERNEL + "// changed\n");
        assertThat(text(images.image("add", "sm_90"))).contains("// changed");
        jar.put("source/add.cu", KERNEL);
        assertThat(text(images.image("add", "sm_90"))).isEqualTo(first);
        assertThat(kept()).hasSize(2).allMatch(name -> name.matches("add-sm_90a-[0-9a-f]{32}\\.cubin"));
    }

    @Test
    void takesFromTheCacheWithoutCompiling() throws IOException {
        StandardKernelImages images = images(CUDA_12, this::fake);
        images.image("add", "sm_86");
        Path file = folder.resolve("cache").resolve(kept().getFirst());
        Files.writeString(file, "kept");

        assertThat(text(images.image("add", "sm_86"))).isEqualTo("kept");
    }

    @Test
    void runsWithACacheThatCannotBeWritten() throws IOException {
        Files.writeString(folder.resolve("cache"), "a file, not a folder");

        assertThat(text(images(CUDA_12, this::fake).image("add", "sm_80"))).startsWith("add.cu|");
    }

    @Test
    void saysThatTheCompilerIsTooNewForTheDriver() {
        fake();

        assertThat(images(11080, Nvrtc::find).problem("sm_80"))
                .contains(
                        "the kernels in the jar need a driver for CUDA 13.0 or newer, and what nvrtc 12.6 makes needs a newer"
                                + " driver; update the driver, or add an NVRTC of CUDA 11 to LD_LIBRARY_PATH");
    }

    @Test
    void showsWhatTheCompilerSaid() {
        jar.put("source/add.cu", "wrong");

        assertThatThrownBy(() -> images(CUDA_12, this::fake).image("add", "sm_80"))
                .isInstanceOf(KernelException.class)
                .hasMessage(
                        "kernel add.cu could not be compiled with --gpu-architecture=sm_80 --std=c++17; nvrtc 12.6 refused it"
                                + " (error 6):\nadd.cu(1): error: identifier \"wrong\" is undefined");
    }

    @ParameterizedTest
    @ValueSource(strings = {"sm_80", "sm_90", "sm_100"})
    void compilesWithNvrtcWhereThereIsOne(String arch) {
        Optional<Nvrtc> nvrtc = Nvrtc.find();
        assumeTrue(nvrtc.isPresent(), "no NVRTC here: compiling at first use is tested with a stand-in only");
        jar.keySet().removeIf(name -> name.startsWith("cubin/"));

        byte[] image = images(99000, () -> nvrtc).image("add", arch);

        assertThat(image).startsWith(0x7f, 'E', 'L', 'F');
        jar.put("source/add.cu", "extern \"C\" __global__ void add(float *x) { *x = wrong; }");
        assertThatThrownBy(() -> images(99000, () -> nvrtc).image("add", arch))
                .hasMessageContaining("identifier \"wrong\" is undefined");
    }

    @ParameterizedTest
    @ValueSource(strings = {"sm_80", "sm_90"})
    void everyKernelCompilesWithNvrtcWhereThereIsOne(String arch) throws IOException {
        Optional<Nvrtc> nvrtc = Nvrtc.find();
        assumeTrue(nvrtc.isPresent(), "no NVRTC here: that it compiles every kernel is not tested");
        jar.clear();
        try (Stream<Path> files = Files.list(Fakes.home().resolve("src/main/cuda"))) {
            for (Path file : files.toList()) {
                jar.put("source/" + file.getFileName(), Files.readString(file));
            }
        }
        StandardKernelImages images = images(99000, () -> nvrtc);

        for (String name : List.copyOf(jar.keySet())) {
            if (name.endsWith(".cu")) {
                assertThat(images.image(name.substring("source/".length(), name.length() - ".cu".length()), arch))
                        .as("%s for %s", name, arch)
                        .startsWith(0x7f, 'E', 'L', 'F');
            }
        }
    }

    private List<String> kept() {
        try (Stream<Path> files = Files.list(folder.resolve("cache"))) {
            return files.map(file -> file.getFileName().toString()).toList();
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }
}
