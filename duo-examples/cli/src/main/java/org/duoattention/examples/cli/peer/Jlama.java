package org.duoattention.examples.cli.peer;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.duoattention.api.model.ModelShape;
import org.duoattention.core.DuoException;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.model.ModelFamily;
import org.duoattention.core.model.ModelTensors;
import org.duoattention.examples.cli.bench.Contender;
import org.duoattention.examples.cli.synthetic.WeightFormat;
import org.jspecify.annotations.Nullable;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * Jlama with random weights of a shape, which its driver makes in memory, one process for each of its two implementations. Its
 * classes carry no preview flag, so that they run on the Java that runs this program.
 *
 * <p>Needs Maven the first time: the jars are copied into the folder that the system property {@code duo.peers} names, or one under
 * the user's cache folder, and are on the class path of those processes only.
 */
public final class Jlama implements Peer {
    private static final String NAME = "jlama";
    private static final String VERSION = "0.8.4";
    private static final String DRIVER = "JlamaDriver.java";
    private static final String POM = "jlama-pom.xml";
    private static final String JARS = "jlama";
    /** Context beyond the longest cache: Jlama looks rotations up as far behind a position as a key is wide. */
    private static final int SPARE_TOKENS = 64;

    private static final long SPARE_BYTES = 2L << 30;
    private static final int BLOCK = 32;

    private final ModelConfig config;
    private final String type;
    private final int threads;
    private final Consumer<String> log;
    private final List<PeerProcess> processes = new ArrayList<>();
    private @Nullable Path temporary;

    private Jlama(ModelConfig config, String type, int threads, Consumer<String> log) {
        this.config = config;
        this.type = type;
        this.threads = threads;
        this.log = log;
    }

    /**
     * Jlama for a shape; nothing is started yet.
     *
     * @param threads threads that it may use
     * @param log told what takes long
     * @throws DuoException when the shape or format is not supported
     */
    public static Jlama of(ModelConfig config, WeightFormat weights, int threads, Consumer<String> log) {
        String type = switch (weights.label()) {
            case "int4" -> "Q4";
            case "f16", "bf16" -> "BF16";
            default ->
                throw new DuoException("--peer jlama is measured with --weights f16 or int4, not " + weights.label()
                        + ", for which it has no matrix product");
        };
        check(config);
        return new Jlama(config, type, threads, log);
    }

    private static void check(ModelConfig config) {
        ModelShape shape = config.shape();
        if (config.family() != ModelFamily.LLAMA || config.queryKeyValueBias() || config.mlpBias()) {
            throw new DuoException("--peer jlama is for shapes of model_type llama without biases; " + config.file()
                    + " is another one");
        }
        if (shape.hiddenSize() != shape.attentionHeads() * shape.headDim()) {
            throw new DuoException("--peer jlama needs a hidden_size of heads x head_dim; " + config.file() + " has "
                    + shape.hiddenSize() + " and " + shape.attentionHeads() + " x " + shape.headDim());
        }
        for (ModelTensors.Entry entry : ModelTensors.of(config)) {
            if (entry.isMatrix() && entry.shape().get(1) % BLOCK != 0) {
                throw new DuoException("--peer jlama: blocks of " + BLOCK + " do not divide the "
                        + entry.shape().get(1) + " columns of " + entry.name() + "; choose another shape");
            }
        }
    }

    private PeerHome install() {
        PeerHome home = PeerHome.of(NAME, "jlama-" + VERSION);
        try {
            Path jars = home.folder().resolve(JARS);
            if (!Files.isDirectory(jars)) {
                home.requireProgram("mvn", "install Maven");
                Files.createDirectories(home.folder());
                home.copy(POM);
                // Only a whole set of jars gets the name that is looked for.
                Path partial = home.folder().resolve(JARS + ".part");
                home.install(
                        List.of(
                                "mvn",
                                "-B",
                                "-f",
                                POM,
                                "-Djlama.version=" + VERSION,
                                "-DoutputDirectory=" + partial,
                                "dependency:copy-dependencies"),
                        log);
                Files.move(partial, jars);
            }
            home.copy(DRIVER);
            return home;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** In each of its two processes. */
    @Override
    public long bytes(int longest) {
        return 2 * (weightBytes() + kvBytes(context(longest)));
    }

    private int context(int longest) {
        return Math.addExact(longest, SPARE_TOKENS + 2 * config.shape().kvHeads());
    }

    /**
     * Makes the weights.
     *
     * @throws DuoException when Maven is missing
     */
    @Override
    public List<Contender> contenders(int deepest, int longest) {
        PeerHome home = install();
        int context = context(longest);
        List<Contender> contenders = new ArrayList<>();
        for (boolean pureJava : List.of(true, false)) {
            PeerProcess process = launch(home, pureJava, context);
            String operations = process.answer().path("operations").asString("");
            boolean isNative = operations.startsWith("Native");
            log.accept("jlama " + VERSION + " has made its weights: " + operations);
            // Where its library does not load, Jlama falls back on what was launched before.
            if (pureJava || isNative) {
                contenders.add(new JlamaContender(this, process, isNative ? "native library" : "pure Java", deepest));
            }
        }
        return contenders;
    }

    private PeerProcess launch(PeerHome home, boolean pureJava, int context) {
        ModelShape shape = config.shape();
        ObjectNode argument = JsonMapper.shared()
                .createObjectNode()
                .put("layers", shape.layers())
                .put("hidden", shape.hiddenSize())
                .put("intermediate", shape.intermediateSize())
                .put("heads", shape.attentionHeads())
                .put("kvHeads", shape.kvHeads())
                .put("headDim", shape.headDim())
                .put("vocabulary", shape.vocabSize())
                .put("tied", config.tieWordEmbeddings())
                .put("ropeTheta", config.rope().theta())
                .put("normEps", config.rmsNormEps())
                .put("weights", type)
                .put("context", context)
                .put("threads", threads);
        long direct = weightBytes() + kvBytes(context) + SPARE_BYTES;
        // What Jlama's own launcher sets: what is inlined, no checks of bounds in vector loads, aligned vectors.
        String operations = "com.github.tjake.jlama.tensor.operations.PanamaTensorOperations";
        List<String> command = List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx4g",
                "-XX:MaxDirectMemorySize=" + direct,
                "-XX:+UnlockDiagnosticVMOptions",
                "-XX:+AlignVector",
                "-XX:CompileCommand=quiet",
                "-XX:CompileCommand=inline," + operations + "::dotProduct*",
                "-XX:CompileCommand=inline," + operations + "::quantize*",
                "-XX:CompileCommand=inline," + operations + "*::mpack*",
                "-XX:CompileCommand=inline,com.github.tjake.jlama.tensor.AbstractTensor::getOffset*",
                "-XX:CompileCommand=inline,com.github.tjake.jlama.tensor.*::getVector*",
                "-Djdk.incubator.vector.VECTOR_ACCESS_OOB_CHECK=0",
                "-Djlama.force_panama_tensor_operations=" + pureJava,
                "--add-modules=jdk.incubator.vector",
                "--add-exports=java.base/sun.nio.ch=ALL-UNNAMED",
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-cp",
                home.folder().resolve(JARS).resolve("*").toString(),
                home.folder().resolve(DRIVER).toString(),
                argument.toString());
        try {
            Path directory = temporary;
            if (directory == null) {
                directory = Files.createTempDirectory("duo-peer-");
                temporary = directory;
            }
            PeerProcess process =
                    new PeerProcess(NAME, command, directory, directory.resolve("errors-" + processes.size() + ".txt"));
            processes.add(process);
            return process;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    ModelConfig config() {
        return config;
    }

    /** The name of the weights' format. */
    String weights() {
        return type;
    }

    /** Bytes of an element of a matrix: Q4 has a scale in F32 for 32 elements. */
    double bytesPerWeight() {
        return type.equals("Q4") ? 0.5 + (double) Float.BYTES / BLOCK : 2;
    }

    /** Bytes of all weights. */
    long weightBytes() {
        double bytes = 0;
        for (ModelTensors.Entry entry : ModelTensors.of(config)) {
            bytes += entry.elements() * (entry.isMatrix() ? bytesPerWeight() : Float.BYTES);
        }
        return Math.round(bytes);
    }

    /** Bytes of a cache, which is in F32. */
    long kvBytes(int tokens) {
        return 2L
                * Float.BYTES
                * tokens
                * config.shape().layers()
                * config.shape().kvWidth();
    }

    @Override
    public void close() {
        processes.forEach(PeerProcess::close);
        if (temporary != null) {
            try (Stream<Path> files = Files.list(temporary)) {
                for (Path file : files.toList()) {
                    Files.delete(file);
                }
                Files.delete(temporary);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }
}
