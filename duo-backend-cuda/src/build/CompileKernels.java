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
 * <p>Every {@code NAME.cu} becomes {@code CUBINS/sm_XX/NAME.cubin} for each architecture, and what ptxas says of its
 * registers, stack and spills is kept in {@code WORK/NAME.txt}. A source is left alone when neither it nor a header, the
 * compiler or the options have changed since. Without nvcc one line says so and the build goes on: the kernels are then
 * compiled where they run; {@code none} asks for the same, for builds on machines that have a compiler and no GPU.
 */
final class CompileKernels {
    private static final List<String> ARCHITECTURES = List.of("80", "90", "90a");
    private static final List<String> OPTIONS = List.of("-std=c++17", "-O3", "-Xptxas", "-v");
    /** Each is one process that takes turns over the architectures. */
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
        StringBuilder common = new StringBuilder(version).append(ARCHITECTURES).append(OPTIONS);
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
        String version = nvcc == null ? null : run(List.of(nvcc, "--version"));
        if (version == null) {
            System.out.println(
                    "kernels: no nvcc (looked at NVCC, PATH, /usr/local/cuda/bin); they are compiled at first use");
            return;
        }
        CompileKernels kernels = new CompileKernels(nvcc, version, sources, cubins, work);
        if (arguments[3].equals("all")) {
            kernels.all(release(version));
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
        List<String> command = new ArrayList<>(List.of(nvcc));
        command.addAll(OPTIONS);
        command.addAll(List.of("-fatbin", "--keep", "--keep-dir", scratch.toString()));
        for (String architecture : ARCHITECTURES) {
            command.addAll(List.of("-gencode", "arch=compute_" + architecture + ",code=sm_" + architecture));
        }
        command.addAll(List.of("-o", scratch.resolve(name + ".fatbin").toString(), file.toString()));
        String output = run(command);
        if (output == null) {
            throw new IOException(
                    "kernels: " + nvcc + " failed on " + file + ":\n" + Files.readString(scratch.resolve("log")));
        }
        for (String architecture : ARCHITECTURES) {
            Path target = cubin(name, architecture);
            Files.createDirectories(target.getParent());
            Files.move(kept(scratch, name, architecture), target, StandardCopyOption.REPLACE_EXISTING);
        }
        Files.writeString(work.resolve(name + ".txt"), output);
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

    /** nvcc names what it keeps after the virtual architecture, the real one, or both. */
    private static Path kept(Path scratch, String name, String architecture) throws IOException {
        Pattern pattern = Pattern.compile(
                Pattern.quote(name) + "(\\.compute_" + architecture + ")?(\\.sm_" + architecture + ")?\\.cubin");
        return files(scratch, ".cubin").stream()
                .filter(file -> pattern.matcher(file.getFileName().toString()).matches())
                .findFirst()
                .orElseThrow(
                        () -> new IOException("kernels: nvcc left no cubin of " + name + " for sm_" + architecture));
    }

    /** The output of a command, or null when it failed; it is then in a file {@code log} in its --keep-dir. */
    private static String run(List<String> command) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (process.waitFor() == 0) {
            return output;
        }
        int scratch = command.indexOf("--keep-dir");
        if (scratch >= 0) {
            Files.writeString(Path.of(command.get(scratch + 1), "log"), output);
        }
        return null;
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
