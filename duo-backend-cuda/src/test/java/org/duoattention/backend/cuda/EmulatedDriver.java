package org.duoattention.backend.cuda;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * The driver's emulation and the kernels for it, compiled with g++ into {@code target/emulation} when a source has changed.
 *
 * <p>Each kernel source becomes a library of its own and a file {@code NAME.cubin} that names it.
 */
public final class EmulatedDriver {
    private static final Pattern ENTRY = Pattern.compile("extern \"C\" duo_global void (\\w+)\\(");
    private static final List<String> FLAGS =
            List.of("-std=c++17", "-O1", "-g1", "-fPIC", "-Wall", "-Wno-unknown-pragmas", "-Wno-unused-function");
    private static boolean built;

    private EmulatedDriver() {}

    /** Path of the driver's library. Skips the test where there is no compiler. */
    public static Path library() {
        build();
        return target().resolve("libduo-emulated-cuda.so");
    }

    /** The directory with the kernel images. Skips the test where there is no compiler. */
    static Path kernels() {
        build();
        return target();
    }

    /** How many kernels were launched so far, those of graphs included. */
    static long launches() {
        return count("duo_emulated_launches");
    }

    /** How many graphs were launched so far. */
    static long graphLaunches() {
        return count("duo_emulated_graph_launches");
    }

    /** Bytes of addresses that are reserved. */
    public static long reservedBytes() {
        return count("duo_emulated_reserved");
    }

    /** Bytes of addresses that memory is mapped to. */
    public static long mappedBytes() {
        return count("duo_emulated_mapped");
    }

    /** Bytes of memory that programs have, other than those of {@link #othersTake}. */
    public static long usedBytes() {
        return count("duo_emulated_used");
    }

    /** How many times memory was taken from the driver. */
    public static long creations() {
        return count("duo_emulated_creations");
    }

    /** Sets the granularity of memory for devices that are opened from now on. */
    public static void setGranularity(long bytes) {
        set("duo_emulated_set_granularity", bytes);
    }

    /** Another program takes so many bytes of the device's memory; 0 gives them back. */
    public static void othersTake(long bytes) {
        set("duo_emulated_set_others", bytes);
    }

    /** Memory can be taken so many times, and then no more; -1 is without end. */
    public static void limitCreations(long count) {
        set("duo_emulated_set_creations", count);
    }

    /** Makes the device work again after a kernel has failed. */
    static void forgetFailure() {
        set("duo_emulated_forget_failure", 0);
    }

    private static long count(String function) {
        try {
            return (long) Linker.nativeLinker()
                    .downcallHandle(function(function), FunctionDescriptor.of(ValueLayout.JAVA_LONG))
                    .invokeExact();
        } catch (Throwable e) {
            throw new AssertionError(e);
        }
    }

    private static void set(String function, long value) {
        try {
            Linker.nativeLinker()
                    .downcallHandle(function(function), FunctionDescriptor.ofVoid(ValueLayout.JAVA_LONG))
                    .invokeExact(value);
        } catch (Throwable e) {
            throw new AssertionError(e);
        }
    }

    private static MemorySegment function(String name) {
        return SymbolLookup.libraryLookup(library(), Arena.global()).find(name).orElseThrow();
    }

    private static synchronized void build() {
        assumeTrue(
                Files.isExecutable(Path.of("/usr/bin/g++"))
                        && System.getProperty("os.arch").equals("amd64"),
                "skipped: the CUDA backend's tests run on an emulation that g++ compiles for x86-64, and there is none");
        if (built) {
            return;
        }
        try {
            Files.createDirectories(target());
            driver();
            List<Thread> threads = new ArrayList<>();
            List<Throwable> failures = new ArrayList<>();
            List<Path> kernels = new ArrayList<>(files(module().resolve("src/main/cuda"), ".cu"));
            // Kernels of tests of the emulation itself.
            kernels.addAll(files(emulation(""), ".cu"));
            for (Path source : kernels) {
                threads.add(Thread.ofPlatform().start(() -> {
                    try {
                        kernel(source);
                    } catch (IOException | RuntimeException e) {
                        synchronized (failures) {
                            failures.add(e);
                        }
                    }
                }));
            }
            for (Thread thread : threads) {
                thread.join();
            }
            if (!failures.isEmpty()) {
                throw new IllegalStateException("a kernel does not compile for the emulation", failures.getFirst());
            }
            built = true;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private static void driver() throws IOException {
        List<Path> sources = List.of(emulation("driver.cpp"), emulation("runtime.cpp"), emulation("runtime.hpp"));
        Path library = target().resolve("libduo-emulated-cuda.so");
        whenChanged(sources, library, () -> {
            List<String> command = new ArrayList<>(List.of("/usr/bin/g++"));
            command.addAll(FLAGS);
            command.addAll(List.of("-shared", "-pthread", "-o", library.toString()));
            command.addAll(List.of(sources.get(0).toString(), sources.get(1).toString(), "-ldl"));
            run(command);
        });
    }

    private static void kernel(Path source) throws IOException {
        String name = source.getFileName().toString().replace(".cu", "");
        Path library = target().resolve(name + ".so");
        List<Path> sources = new ArrayList<>(files(module().resolve("src/main/cuda"), ".cuh"));
        sources.add(source);
        sources.add(emulation("emulation.hpp"));
        whenChanged(sources, library, () -> {
            String include = "#include \"" + source + "\"\n";
            Path file = target().resolve(name + ".cpp");
            List<String> compiler = new ArrayList<>(List.of("/usr/bin/g++"));
            compiler.addAll(FLAGS);
            compiler.addAll(List.of("-DDUO_EMULATED", "-I", emulation("").toString()));
            compiler.addAll(List.of("-I", module().resolve("src/main/cuda").toString()));
            List<String> preprocess = new ArrayList<>(compiler);
            Path text = target().resolve(name + ".i");
            // The word that marks a kernel is kept, to find the entry points that macros make too.
            Files.writeString(file, include);
            preprocess.addAll(
                    List.of("-DDUO_EMU_GLOBAL=duo_global", "-E", "-P", file.toString(), "-o", text.toString()));
            run(preprocess);
            StringBuilder entries = new StringBuilder(include);
            Matcher matcher = ENTRY.matcher(Files.readString(text).replaceAll("\\s+", " "));
            while (matcher.find()) {
                entries.append("DUO_EMU_ENTRY(").append(matcher.group(1)).append(")\n");
            }
            Files.writeString(file, entries);
            Path object = target().resolve(name + ".o");
            List<String> compile = new ArrayList<>(compiler);
            compile.addAll(List.of("-fsanitize=alignment", "-c", file.toString(), "-o", object.toString()));
            run(compile);
            run(List.of(
                    "/usr/bin/g++",
                    "-shared",
                    "-o",
                    library.toString(),
                    object.toString(),
                    target().resolve("libduo-emulated-cuda.so").toString(),
                    "-lm"));
            Files.writeString(target().resolve(name + ".cubin"), "duo-emulated:" + library + "\n");
        });
    }

    private interface Build {
        void run() throws IOException;
    }

    private static void whenChanged(List<Path> sources, Path result, Build build) throws IOException {
        String digest = digest(sources);
        Path note = result.resolveSibling(result.getFileName() + ".sources");
        if (Files.exists(result) && Files.exists(note) && Files.readString(note).equals(digest)) {
            return;
        }
        Files.deleteIfExists(note);
        build.run();
        Files.writeString(note, digest);
    }

    private static String digest(List<Path> sources) throws IOException {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            digest.update(FLAGS.toString().getBytes(StandardCharsets.UTF_8));
            for (Path source : sources) {
                digest.update(source.toString().getBytes(StandardCharsets.UTF_8));
                digest.update(Files.readAllBytes(source));
            }
            return HexFormat.of().formatHex(digest.digest());
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError(e);
        }
    }

    private static void run(List<String> command) throws IOException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        try {
            if (process.waitFor() != 0) {
                throw new IllegalStateException(String.join(" ", command) + "\n" + output);
            }
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private static List<Path> files(Path directory, String suffix) throws IOException {
        try (Stream<Path> files = Files.list(directory)) {
            return files.filter(file -> file.toString().endsWith(suffix))
                    .sorted(Comparator.naturalOrder())
                    .toList();
        }
    }

    private static Path emulation(String name) {
        return module().resolve("src/test/emulation").resolve(name);
    }

    private static Path target() {
        return module().resolve("target/emulation");
    }

    /** The module's directory, from wherever in the repository the tests are run. */
    static Path module() {
        Path directory = Path.of("").toAbsolutePath();
        while (directory != null) {
            for (Path candidate : List.of(directory, directory.resolve("duo-backend-cuda"))) {
                if (Files.isRegularFile(candidate.resolve("src/main/cuda/prelude.cuh"))) {
                    return candidate;
                }
            }
            directory = directory.getParent();
        }
        throw new IllegalStateException(
                "the kernels' sources are not found from " + Path.of("").toAbsolutePath());
    }
}
