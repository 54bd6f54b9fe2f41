package org.duoattention.backend.cuda.kernel;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.duoattention.backend.cuda.Fakes;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What the build's nvcc made of the kernels, and what its assembler said of them. */
class KernelReportTest {
    private static final Path SOURCES = Fakes.home().resolve("src/main/cuda");
    private static final Path REPORTS = Fakes.home().resolve("target/kernels");
    private static final Path CUBINS =
            Fakes.home().resolve("target/classes/org/duoattention/backend/cuda/kernel/cubin");
    private static final List<String> ARCHITECTURES = List.of("sm_80", "sm_90", "sm_90a");
    private static final Pattern ENTRY = Pattern.compile("Compiling entry function '(\\w+)' for '(\\w+)'");
    private static final Pattern STACK =
            Pattern.compile("(\\d+) bytes stack frame, (\\d+) bytes spill stores, (\\d+) bytes spill loads");
    private static final Pattern REGISTERS = Pattern.compile("Used (\\d+) registers");

    /** One entry point for one architecture. */
    private record Usage(String kernel, String arch, int registers, int stack, int spilled) {}

    @BeforeEach
    void needsACompiler() {
        assumeTrue(
                Files.exists(REPORTS.resolve("compiler.txt")),
                "the build found no nvcc: that kernels compile, and that none spills, is not checked");
    }

    @Test
    void everySourceIsCompiledForEveryArchitecture() throws IOException {
        for (String source : sources()) {
            for (String arch : ARCHITECTURES) {
                assertThat(CUBINS.resolve(arch).resolve(source + ".cubin")).isNotEmptyFile();
            }
            assertThat(REPORTS.resolve(source + ".txt")).content().doesNotContain("warning");
        }
        assertThat(usages().stream().map(Usage::kernel).collect(Collectors.toSet()))
                .hasSizeGreaterThanOrEqualTo(sources().size());
    }

    @Test
    void hotKernelsStayInRegisters() throws IOException {
        Map<String, List<Usage>> byKernel =
                usages().stream().collect(Collectors.groupingBy(Usage::kernel, TreeMap::new, Collectors.toList()));

        for (String kernel : hotKernels()) {
            assertThat(byKernel)
                    .as("entry points; %s is in hot-kernels.txt", kernel)
                    .containsKey(kernel);
            assertThat(byKernel.get(kernel))
                    .allSatisfy(usage -> assertThat(usage.stack() + usage.spilled())
                            .as("bytes of stack and spills of %s", usage)
                            .isZero());
        }
    }

    private static List<String> sources() throws IOException {
        try (Stream<Path> files = Files.list(SOURCES)) {
            return files.map(file -> file.getFileName().toString())
                    .filter(name -> name.endsWith(".cu"))
                    .map(name -> name.substring(0, name.length() - 3))
                    .sorted()
                    .toList();
        }
    }

    private static List<String> hotKernels() throws IOException {
        try (InputStream in = KernelReportTest.class.getResourceAsStream("hot-kernels.txt")) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8)
                    .lines()
                    .map(String::strip)
                    .filter(line -> !line.isEmpty() && !line.startsWith("#"))
                    .toList();
        }
    }

    private static List<Usage> usages() throws IOException {
        List<Usage> usages = new ArrayList<>();
        for (String source : sources()) {
            String kernel = "";
            String arch = "";
            int stack = 0;
            int spilled = 0;
            boolean own = false;
            for (String line : Files.readAllLines(REPORTS.resolve(source + ".txt"))) {
                Matcher entry = ENTRY.matcher(line);
                Matcher memory = STACK.matcher(line);
                Matcher registers = REGISTERS.matcher(line);
                if (entry.find()) {
                    kernel = entry.group(1);
                    arch = entry.group(2);
                } else if (line.contains("Function properties for")) {
                    // Functions that were not inlined have properties of their own.
                    own = line.strip().endsWith(" " + kernel);
                } else if (memory.find() && own) {
                    stack = Integer.parseInt(memory.group(1));
                    spilled = Integer.parseInt(memory.group(2)) + Integer.parseInt(memory.group(3));
                } else if (registers.find()) {
                    usages.add(new Usage(kernel, arch, Integer.parseInt(registers.group(1)), stack, spilled));
                }
            }
        }
        return usages;
    }
}
