package org.duoattention.examples.cli.peer;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.LongConsumer;
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

    private final Path temporary;
    private final GgufShapeFile gguf;
    private final GgmlType type;
    private final ModelConfig config;
    private @Nullable PeerProcess process;

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
     * @param longest most tokens in a cache
     * @param memory given the bytes that its weights and the caches of its settings take, before anything else happens; may throw
     * @param log told what takes long
     * @throws DuoException when node or the package is missing, the shape or format is not supported, or the disk is
     *     full
     */
    public static LlamaCpp start(
            ModelConfig config,
            WeightFormat weights,
            int threads,
            int longest,
            LongConsumer memory,
            Consumer<String> log) {
        GgmlType type = GgmlType.of(weights)
                .orElseThrow(() -> new DuoException(
                        "--peer llama.cpp is measured with --weights f16, int8 or int4, not " + weights.label()));
        GgufShapeFile gguf = new GgufShapeFile(config, type);
        memory.accept(gguf.tensorBytes() + LlamaCppContender.cacheBytes(config.shape(), longest));
        PeerHome home = install(log);
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

    private static PeerHome install(Consumer<String> log) {
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

    private void launch(PeerHome home, int threads, Consumer<String> log) throws IOException {
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
        Path script = home.copy(SCRIPT);
        PeerProcess started = new PeerProcess(
                NAME,
                List.of(
                        "node",
                        script.toString(),
                        model.toString(),
                        String.valueOf(threads),
                        String.valueOf(config.shape().vocabSize())),
                temporary,
                temporary.resolve("errors.txt"));
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
    public List<Contender> contenders(int deepest, int longest) {
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
        return temporary.resolve("state.bin");
    }

    @Override
    public void close() {
        PeerProcess running = process;
        if (running != null) {
            running.close();
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
