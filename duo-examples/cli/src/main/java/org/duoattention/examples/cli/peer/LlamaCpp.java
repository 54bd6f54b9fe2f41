package org.duoattention.examples.cli.peer;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.duoattention.core.DuoException;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.examples.cli.synthetic.WeightFormat;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * llama.cpp with random weights of a shape, in a process of node that stays for the whole benchmark. The weights are a GGUF
 * file in a temporary directory, which {@link #close} removes with everything in it.
 *
 * <p>Needs node and, the first time, npm and its registry: the package is installed without running its scripts, into the folder that
 * the system property {@code duo.peers} names, or one under the user's cache folder.
 */
public final class LlamaCpp implements AutoCloseable {
    /** The package that carries llama.cpp. */
    private static final String PACKAGE = "node-llama-cpp@3.22.1";

    private static final String SCRIPT = "llama-cpp.mjs";
    private static final String PREFIX = "@@";
    private static final int SECONDS_TO_INSTALL = 600;
    private static final int SECONDS_TO_END = 10;

    private final Path temporary;
    private final GgufShapeFile gguf;
    private final GgmlType type;
    private final ModelConfig config;
    private @Nullable Process process;
    private @Nullable BufferedReader answers;
    private @Nullable Writer requests;

    private LlamaCpp(Path temporary, GgufShapeFile gguf, GgmlType type, ModelConfig config) {
        this.temporary = temporary;
        this.gguf = gguf;
        this.type = type;
        this.config = config;
    }

    /**
     * Installs llama.cpp if that has not happened yet, writes the weights and loads them.
     *
     * @param threads threads that it may use
     * @param log told what takes long
     * @throws DuoException when node or the package is missing, the shape or format is not supported, or the disk is
     *     full
     */
    public static LlamaCpp start(ModelConfig config, WeightFormat weights, int threads, Consumer<String> log) {
        GgmlType type = GgmlType.of(weights)
                .orElseThrow(() -> new DuoException(
                        "--peer llama.cpp is measured with --weights f16, int8 or int4, not " + weights.label()));
        GgufShapeFile gguf = new GgufShapeFile(config, type);
        Path home = install(log);
        try {
            Path temporary = Files.createTempDirectory("duo-peer-");
            LlamaCpp peer = new LlamaCpp(temporary, gguf, type, config);
            try {
                peer.launch(home, threads, log);
                return peer;
            } catch (IOException | RuntimeException | Error e) {
                peer.close();
                throw e;
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Path install(Consumer<String> log) {
        requireProgram("node");
        String configured = System.getProperty("duo.peers");
        Path home = configured != null
                ? Path.of(configured)
                : Path.of(System.getProperty("user.home"), ".cache", "duo", "peers")
                        .resolve(PACKAGE.replace('@', '-'));
        if (Files.isDirectory(home.resolve("node_modules").resolve("node-llama-cpp"))) {
            return home;
        }
        requireProgram("npm");
        log.accept("installing " + PACKAGE + " into " + home);
        try {
            Files.createDirectories(home);
            Path output = home.resolve("npm.log");
            Process npm = new ProcessBuilder("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", PACKAGE)
                    .directory(home.toFile())
                    .redirectErrorStream(true)
                    .redirectOutput(output.toFile())
                    .start();
            if (!npm.waitFor(SECONDS_TO_INSTALL, TimeUnit.SECONDS) || npm.exitValue() != 0) {
                npm.destroy();
                throw new DuoException("--peer llama.cpp: npm install " + PACKAGE + " failed; see " + output
                        + ", or install it in a folder of your own and name that with DUO_OPTS=-Dduo.peers=DIR");
            }
            return home;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new DuoException("--peer llama.cpp: the installation was interrupted", e);
        }
    }

    private static void requireProgram(String name) {
        try {
            Process process = new ProcessBuilder(name, "--version")
                    .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                    .redirectError(ProcessBuilder.Redirect.DISCARD)
                    .start();
            process.waitFor();
        } catch (IOException e) {
            throw new DuoException(
                    "--peer llama.cpp needs " + name
                            + ", which is not on the PATH; install Node.js 20 or newer, or leave" + " --peer out",
                    e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new DuoException("--peer llama.cpp: interrupted", e);
        }
    }

    private void launch(Path home, int threads, Consumer<String> log) throws IOException {
        long usable = Files.getFileStore(temporary).getUsableSpace();
        if (gguf.tensorBytes() > usable) {
            throw new DuoException("--peer llama.cpp: the weights take " + gguf.tensorBytes() + " bytes, " + temporary
                    + " has room for " + usable + "; choose smaller weights, or another folder with"
                    + " DUO_OPTS=-Djava.io.tmpdir=DIR");
        }
        Path model = temporary.resolve("model.gguf");
        log.accept("writing " + gguf.tensorBytes() + " bytes of random weights for llama.cpp");
        gguf.write(model);
        // A script finds its packages beside itself.
        Path script = home.resolve(SCRIPT);
        try (InputStream in = LlamaCpp.class.getResourceAsStream("/peer/" + SCRIPT)) {
            if (in == null) {
                throw new IllegalStateException("the program lacks " + SCRIPT);
            }
            Files.copy(in, script, StandardCopyOption.REPLACE_EXISTING);
        }
        Process started = new ProcessBuilder(
                        "node",
                        script.toString(),
                        model.toString(),
                        String.valueOf(threads),
                        String.valueOf(config.shape().vocabSize()))
                .directory(temporary.toFile())
                .redirectError(errors().toFile())
                .start();
        process = started;
        answers = started.inputReader(StandardCharsets.UTF_8);
        requests = started.outputWriter(StandardCharsets.UTF_8);
        log.accept("llama.cpp " + answer().path("release").asString("") + " has loaded the weights");
    }

    private Path errors() {
        return temporary.resolve("errors.txt");
    }

    /** A request of one operation. */
    ObjectNode request(String operation) {
        return JsonMapper.shared().createObjectNode().put("op", operation);
    }

    /**
     * Sends a request and waits for the answer.
     *
     * @throws DuoException when llama.cpp refuses or ends
     */
    JsonNode ask(ObjectNode request) {
        Writer writer = requests;
        if (writer == null) {
            throw new IllegalStateException("llama.cpp was not started");
        }
        try {
            writer.write(request + "\n");
            writer.flush();
            return answer();
        } catch (IOException e) {
            throw ended(e);
        }
    }

    private JsonNode answer() throws IOException {
        BufferedReader reader = answers;
        if (reader == null) {
            throw new IllegalStateException("llama.cpp was not started");
        }
        for (String line = reader.readLine(); line != null; line = reader.readLine()) {
            if (line.startsWith(PREFIX)) {
                try {
                    JsonNode answer = JsonMapper.shared().readTree(line.substring(PREFIX.length()));
                    if (answer.has("error")) {
                        throw new DuoException("--peer llama.cpp: "
                                + answer.path("error").asString().replaceAll("\\s+", " "));
                    }
                    return answer;
                } catch (JacksonException e) {
                    throw ended(e);
                }
            }
        }
        throw ended(null);
    }

    private DuoException ended(@Nullable Throwable cause) {
        String reason = lastError().map(line -> ": " + line).orElse("");
        return new DuoException("--peer llama.cpp ended unexpectedly" + reason, cause);
    }

    private Optional<String> lastError() {
        try {
            List<String> lines = Files.readAllLines(errors());
            return lines.stream().filter(line -> line.contains("rror")).findFirst();
        } catch (IOException e) {
            return Optional.empty();
        }
    }

    /** The name of the weights' format. */
    String weights() {
        return type.name();
    }

    /** Bytes of all weights. */
    long weightBytes() {
        return gguf.tensorBytes();
    }

    /** Bytes of an element of a matrix. */
    double bytesPerWeight() {
        return (double) type.blockBytes() / type.elements();
    }

    ModelConfig config() {
        return config;
    }

    /** A file name for saved states. */
    Path stateFile() {
        return temporary.resolve("state.bin");
    }

    @Override
    public void close() {
        Process running = process;
        if (running != null) {
            running.destroy();
            try {
                if (!running.waitFor(SECONDS_TO_END, TimeUnit.SECONDS)) {
                    running.destroyForcibly();
                }
            } catch (InterruptedException e) {
                running.destroyForcibly();
                Thread.currentThread().interrupt();
            }
        }
        try {
            for (String name : List.of("model.gguf", "errors.txt", "state.bin")) {
                Files.deleteIfExists(temporary.resolve(name));
            }
            Files.deleteIfExists(temporary);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
