package org.duoattention.examples.cli.peer;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;
import java.util.function.Consumer;
import org.duoattention.core.DuoException;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.examples.cli.bench.Contender;
import org.duoattention.examples.cli.synthetic.WeightFormat;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ObjectNode;

/**
 * llama.cpp with random weights of a shape, in a process of node that stays for the whole benchmark. The weights are a GGUF
 * file in a temporary directory, which {@link #close} removes with everything in it.
 *
 * <p>Needs node and, the first time, npm and its registry: the package is installed without running its scripts, into the folder that
 * the system property {@code duo.peers} names, or one under the user's cache folder.
 */
public final class LlamaCpp implements Peer {
    /** The package that carries llama.cpp. */
    private static final String PACKAGE = "node-llama-cpp@3.22.1";

    private static final String SCRIPT = "llama-cpp.mjs";
    private static final String NAME = "llama.cpp";
    private static final String ADVICE = "install Node.js 20 or newer";

    private final GgufShapeFile gguf;
    private final GgmlType type;
    private final ModelConfig config;
    private final int threads;
    private final Consumer<String> log;
    private @Nullable Path temporary;
    private @Nullable PeerProcess process;

    private LlamaCpp(GgufShapeFile gguf, GgmlType type, ModelConfig config, int threads, Consumer<String> log) {
        this.gguf = gguf;
        this.type = type;
        this.config = config;
        this.threads = threads;
        this.log = log;
    }

    /**
     * llama.cpp for a shape; nothing is started yet.
     *
     * @param threads threads that it may use
     * @param log told what takes long
     * @throws DuoException when the shape or format is not supported
     */
    public static LlamaCpp of(ModelConfig config, WeightFormat weights, int threads, Consumer<String> log) {
        GgmlType type = GgmlType.of(weights)
                .orElseThrow(() -> new DuoException(
                        "--peer llama.cpp is measured with --weights f16, int8 or int4, not " + weights.label()));
        return new LlamaCpp(new GgufShapeFile(config, type), type, config, threads, log);
    }

    private PeerHome install() {
        PeerHome home = PeerHome.of(NAME, PACKAGE);
        home.requireProgram("node", ADVICE);
        if (!Files.isDirectory(home.folder().resolve("node_modules").resolve("node-llama-cpp"))) {
            home.requireProgram("npm", ADVICE);
            try {
                Files.createDirectories(home.folder());
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
            home.install(List.of("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", PACKAGE), log);
        }
        return home;
    }

    private void launch(PeerHome home) throws IOException {
        Path directory = Files.createTempDirectory("duo-peer-");
        temporary = directory;
        long usable = Files.getFileStore(directory).getUsableSpace();
        if (gguf.tensorBytes() > usable) {
            throw new DuoException("--peer llama.cpp: the weights take " + gguf.tensorBytes() + " bytes, " + directory
                    + " has room for " + usable + "; choose smaller weights, or another folder with"
                    + " DUO_OPTS=-Djava.io.tmpdir=DIR");
        }
        Path model = directory.resolve("model.gguf");
        log.accept("writing " + gguf.tensorBytes() + " bytes of random weights for llama.cpp");
        gguf.write(model);
        // A script finds its packages beside itself.
        Path script = home.copy(SCRIPT);
        PeerProcess started = new PeerProcess(
                NAME,
                List.of(
                        "node",
                        script.toString(),
                        model.toString(),
                        String.valueOf(threads),
                        String.valueOf(config.shape().vocabSize())),
                directory,
                directory.resolve("errors.txt"));
        process = started;
        log.accept("llama.cpp " + started.answer().path("release").asString("") + " has loaded the weights");
    }

    /**
     * Sends a request and waits for the answer.
     *
     * @throws DuoException when llama.cpp refuses or ends
     */
    JsonNode ask(ObjectNode request) {
        PeerProcess started = process;
        if (started == null) {
            throw new IllegalStateException("llama.cpp was not started");
        }
        return started.ask(request);
    }

    @Override
    public long bytes(int longest) {
        return weightBytes() + LlamaCppContender.cacheBytes(config.shape(), longest);
    }

    /**
     * Writes the weights and loads them.
     *
     * @throws DuoException when node or the package is missing, or the disk is full
     */
    @Override
    public List<Contender> contenders(int deepest, int longest) {
        PeerHome home = install();
        try {
            launch(home);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return LlamaCppContender.all(this, deepest, longest);
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
        return Objects.requireNonNull(temporary).resolve("state.bin");
    }

    @Override
    public void close() {
        PeerProcess running = process;
        if (running != null) {
            running.close();
        }
        Path directory = temporary;
        if (directory == null) {
            return;
        }
        try {
            for (String name : List.of("model.gguf", "errors.txt", "state.bin")) {
                Files.deleteIfExists(directory.resolve(name));
            }
            Files.deleteIfExists(directory);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
