import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Compiles the kernels of a folder to cubins with nvcc, where there is one. The build runs this file as a program:
 *
 * <pre>java CompileKernels.java SOURCES CUBINS WORK all|none</pre>
 *
 * <p>Every {@code NAME.cu} becomes PTX once, that of the oldest architecture, because no kernel asks for more; and the PTX
 * {@code CUBINS/sm_XX/NAME.cubin} for each architecture. What ptxas says of registers, stack and spills is kept in {@code
 * WORK/NAME.txt}. A source is left alone when neither it nor a header, the
 * compiler or the options have changed since. Without nvcc one line says so and the build goes on: the kernels are then
 * compiled where they run; {@code none} asks for the same, for builds on machines that have a compiler and no GPU.
 */
final class CompileKernels {
    private static final List<String> ARCHITECTURES = List.of("80", "90", "90a");
    private static final List<String> TO_PTX = List.of("-std=c++17", "-O3", "-arch=compute_80", "-ptx");
    private static final List<String> TO_CUBIN = List.of("-O3", "-Xptxas", "-v", "-cubin");
    private static final int AT_ONCE = 2;

    private final String nvcc;
    private final Path sources;
    private final Path cubins;
    private final Path work;
    private final String environment;

    private CompileKernels(String nvcc, String version, Path sources, Path cubins, Path work) throws IOException {
        this.nvcc = nvcc;
        this.sources = sources;
        this.cubins = cubins;
        this.work = work;
        StringBuilder common = new StringBuilder(version).append(ARCHITECTURES).append(TO_PTX).append(TO_CUBIN);
        for (Path header : files(sources, ".cuh")) {
            common.append(Files.readString(header));
        }
        this.environment = common.toString();
    }

    public static void main(String[] arguments) throws Exception {
        Path sources = Path.of(arguments[0]);
        Path cubins = Path.of(arguments[1]);
        Path work = Path.of(arguments[2]);
        if (!Files.isDirectory(sources)) {
            return;
        }
        if (!List.of("all", "none").contains(arguments[3])) {
            System.err.println("kernels: duo.kernels is \"" + arguments[3] + "\"; set it to all or none");
            System.exit(1);
        }
        Files.createDirectories(work);
        String nvcc = findNvcc();
        Output version = nvcc == null ? null : run(List.of(nvcc, "--version"));
        if (version == null || version.status() != 0) {
            System.out.println(
                    "kernels: no nvcc (looked at NVCC, PATH, /usr/local/cuda/bin); they are compiled at first use");
            return;
        }
        CompileKernels kernels = new CompileKernels(nvcc, version.text(), sources, cubins, work);
        if (arguments[3].equals("all")) {
            kernels.all(release(version.text()));
        } else {
            kernels.none();
        }
    }

    private static String findNvcc() {
        List<String> places = new ArrayList<>();
        String chosen = System.getenv("NVCC");
        if (chosen != null && !chosen.isEmpty()) {
            places.add(chosen);
        }
        for (String folder : System.getenv().getOrDefault("PATH", "").split(java.io.File.pathSeparator)) {
            places.add(Path.of(folder, "nvcc").toString());
        }
        places.add("/usr/local/cuda/bin/nvcc");
        return places.stream().filter(place -> Files.isExecutable(Path.of(place))).findFirst().orElse(null);
    }

    private static String release(String version) {
        Matcher matcher = Pattern.compile("release (\\d+\\.\\d+)").matcher(version);
        return matcher.find() ? matcher.group(1) : "unknown";
    }

    private void all(String release) throws Exception {
        List<Path> files = files(sources, ".cu");
        removeOthers(files);
        Map<Path, Future<Boolean>> results = new LinkedHashMap<>();
        int compiled = 0;
        try (ExecutorService pool = Executors.newFixedThreadPool(AT_ONCE)) {
            for (Path file : files) {
                results.put(file, pool.submit(() -> compile(file)));
            }
            for (Future<Boolean> result : results.values()) {
                compiled += result.get() ? 1 : 0;
            }
        } catch (ExecutionException e) {
            System.err.println(e.getCause().getMessage());
            System.exit(1);
        }
        Files.createDirectories(cubins);
        Files.writeString(cubins.resolve("compiler.txt"), release + "\n");
        Files.writeString(work.resolve("compiler.txt"), release + "\n");
        System.out.println("kernels: " + compiled + " of " + files.size() + " compiled with nvcc " + release
                + (compiled < files.size() ? ", the others are up to date" : ""));
    }

    /** Leaves cubins of an earlier build only where they are those of the sources. */
    private void none() throws IOException {
        List<Path> files = files(sources, ".cu");
        removeOthers(files);
        for (Path file : files) {
            if (!isCurrent(file)) {
                String name = name(file);
                Files.deleteIfExists(stamp(name));
                // Without it the reports count as absent.
                Files.deleteIfExists(work.resolve("compiler.txt"));
                for (String architecture : ARCHITECTURES) {
                    Files.deleteIfExists(cubin(name, architecture));
                }
            }
        }
        System.out.println("kernels: not compiled, as duo.kernels=none says; they are compiled at first use");
    }

    private void removeOthers(List<Path> files) throws IOException {
        List<String> names = files.stream().map(CompileKernels::name).toList();
        for (String architecture : ARCHITECTURES) {
            for (Path cubin : files(cubins.resolve("sm_" + architecture), ".cubin")) {
                if (!names.contains(name(cubin))) {
                    Files.delete(cubin);
                }
            }
        }
        for (String suffix : List.of(".txt", ".key")) {
            for (Path file : files(work, suffix)) {
                if (!names.contains(name(file))) {
                    Files.delete(file);
                }
            }
        }
    }

    /** Whether there was something to do. */
    private boolean compile(Path file) throws IOException, InterruptedException {
        if (isCurrent(file)) {
            return false;
        }
        String name = name(file);
        // Before the compiler reads the file: what is written meanwhile is not in its output.
        String key = key(file);
        // Two builds at once must not disturb each other.
        Path scratch = Files.createTempDirectory(work, name);
        Path ptx = scratch.resolve(name + ".ptx");
        StringBuilder report = new StringBuilder(nvcc(file, TO_PTX, file, ptx));
        for (String architecture : ARCHITECTURES) {
            List<String> options = new ArrayList<>(TO_CUBIN);
            options.add("-arch=sm_" + architecture);
            report.append(nvcc(file, options, ptx, scratch.resolve(name + ".sm_" + architecture)));
        }
        for (String architecture : ARCHITECTURES) {
            Path target = cubin(name, architecture);
            Files.createDirectories(target.getParent());
            Files.move(scratch.resolve(name + ".sm_" + architecture), target, StandardCopyOption.REPLACE_EXISTING);
        }
        Files.writeString(work.resolve(name + ".txt"), report);
        clear(scratch);
        Files.writeString(stamp(name), key);
        return true;
    }

    private boolean isCurrent(Path file) throws IOException {
        String name = name(file);
        Path stamp = stamp(name);
        return Files.exists(stamp)
                && Files.readString(stamp).equals(key(file))
                && Files.exists(work.resolve(name + ".txt"))
                && ARCHITECTURES.stream().allMatch(architecture -> Files.exists(cubin(name, architecture)));
    }

    /** What a kernel's cubins depend on. */
    private String key(Path file) throws IOException {
        return hash(environment + Files.readString(file));
    }

    /** Where the key of the cubins that there are is kept. */
    private Path stamp(String name) {
        return work.resolve(name + ".key");
    }

    private Path cubin(String name, String architecture) {
        return cubins.resolve("sm_" + architecture).resolve(name + ".cubin");
    }

    /** What nvcc says when it makes a file from another. */
    private String nvcc(Path source, List<String> options, Path from, Path to)
            throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(List.of(nvcc));
        command.addAll(options);
        command.addAll(List.of("-o", to.toString(), from.toString()));
        Output output = run(command);
        if (output.status() != 0) {
            throw new IOException(
                    "kernels: " + String.join(" ", command) + " failed on " + source + ":\n" + output.text());
        }
        return output.text();
    }

    private record Output(int status, String text) {}

    private static Output run(List<String> command) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return new Output(process.waitFor(), text);
    }

    private static String name(Path file) {
        String name = file.getFileName().toString();
        return name.substring(0, name.lastIndexOf('.'));
    }

    private static List<Path> files(Path folder, String suffix) throws IOException {
        if (!Files.isDirectory(folder)) {
            return List.of();
        }
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(file -> file.toString().endsWith(suffix)).sorted().toList();
        }
    }

    private static void clear(Path folder) throws IOException {
        for (Path file : files(folder, "")) {
            Files.delete(file);
        }
        Files.deleteIfExists(folder);
    }

    private static String hash(String text) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            return HexFormat.of().formatHex(digest.digest(text.getBytes(StandardCharsets.UTF_8)));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }
}
