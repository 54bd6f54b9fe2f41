package org.duoattention.core.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.stream.IntStream;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.cache.CachePlan;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.cache.SlabPlan;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.core.DuoException;
import org.duoattention.core.cache.CacheSpec;
import org.duoattention.core.cache.HybridCache;
import org.duoattention.core.load.Checkpoint;
import org.duoattention.core.load.WeightSource;
import org.duoattention.core.model.Activations;
import org.duoattention.core.model.Decoder;
import org.duoattention.core.model.DecoderWeights;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.model.RopeFrequencies;
import org.duoattention.tck.OpaqueBackend;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Quantised copies of the small checkpoints: 32 wide, 48 in the feed-forward layer. */
class CheckpointQuantizerTest {
    private static final Path CHECKPOINTS = Path.of("src", "test", "resources", "checkpoints");
    private static final long LARGE = 1L << 40;

    @TempDir
    Path directory;

    private static QuantizationSettings settings(MatrixFormat format, long shardBytes) {
        return new QuantizationSettings(format, Optional.empty(), Optional.empty(), shardBytes, 2);
    }

    @Test
    void everyNumberIsNearItsOwn() throws InterruptedException {
        Path model = CHECKPOINTS.resolve("llama-bias");
        MatrixFormat format = new MatrixFormat(8, 16, true);
        QuantizationSettings all =
                new QuantizationSettings(format, Optional.of(format), Optional.of(format), 20_000, 2);
        Path out = directory.resolve("out");
        long[] done = {0};
        try (CheckpointQuantizer quantizer = CheckpointQuantizer.open(model, all)) {
            quantizer.write(out, Rescaling.NONE, bytes -> done[0] += bytes);
            assertThat(done[0]).isEqualTo(quantizer.sourceBytes());
            assertThat(out.resolve("model.safetensors.index.json")).exists();
            int matrices = 0;
            try (Checkpoint source = Checkpoint.open(model);
                    Checkpoint written = Checkpoint.open(out);
                    Arena arena = Arena.ofConfined()) {
                assertThat(written.totalBytes()).isEqualTo(quantizer.targetBytes());
                for (String name : source.names()) {
                    HostTensor tensor = source.find(name).orElseThrow();
                    if (tensor.spec().rank() != 2) {
                        assertThat(written.find(name).orElseThrow().data().mismatch(tensor.data()))
                                .isEqualTo(-1);
                        continue;
                    }
                    matrices++;
                    QuantizedMatrix matrix = (QuantizedMatrix) written.matrix(
                            name, tensor.spec().rows(), tensor.spec().extent(1), arena);
                    for (long i = 0; i < tensor.spec().elements(); i++) {
                        long row = i / tensor.spec().extent(1);
                        long column = i % tensor.spec().extent(1);
                        // Half a step, and what clipping may take off.
                        double bound = 3 * matrix.scaleAt(row, column / 16);
                        assertThat(matrix.valueAt(row, column)).isCloseTo(tensor.floatAt(i), within(bound));
                    }
                }
            }
            assertThat(matrices).isEqualTo(3 * 7 + 2);
        }
    }

    /** Dividing by factors before a layer and multiplying its columns must not change what the model computes. */
    @ParameterizedTest
    @ValueSource(strings = {"llama-bias", "mistral", "qwen3"})
    void factorsDoNotChangeTheModel(String name) throws InterruptedException {
        ModelConfig config = ModelConfig.read(CHECKPOINTS.resolve(name));
        int[] ids = new Random(1).ints(200, 3, config.shape().vocabSize()).toArray();
        try (Checkpoint source = Checkpoint.open(CHECKPOINTS.resolve(name));
                Device device = new OpaqueBackend().openOpaque();
                Arena arena = Arena.ofShared()) {
            Rescaling found = Calibration.run(
                    device,
                    config,
                    source,
                    settings(new MatrixFormat(4, MatrixFormat.ROW, false), LARGE),
                    ids,
                    steps -> {});
            Rescaling rescaling = new Rescaling(found.columns(), found.rowDivisors(), found.inputs(), Map.of());
            assertThat(rescaling.columns()).hasSize(3 * 7);
            assertThat(rescaling.columns().values())
                    .as("layers with factors other than one")
                    .anyMatch(factors -> spread(factors) > 1.1);
            float[] before = logits(device, config, source);
            float[] after = logits(device, config, new RescaledWeights(source, rescaling, arena));
            for (int i = 0; i < before.length; i++) {
                assertThat(after[i]).isCloseTo(before[i], within(2e-4f));
            }
        }
    }

    /**
     * On tokens of the same kind as those that were read, and others. Models as small as these differ a lot from one to the
     * next, hence all together.
     */
    @Test
    void calibratedWeightsGiveNearerLogits() throws InterruptedException {
        double againstPlain = 0;
        double againstUncorrected = 0;
        for (String name : List.of("llama-bias", "mistral", "qwen3")) {
            double[] errors = errorsOfLogits(name);
            againstPlain += Math.log(errors[2] / errors[0]) / 3;
            againstUncorrected += Math.log(errors[2] / errors[1]) / 3;
        }
        assertThat(Math.exp(againstPlain)).isLessThan(0.7);
        assertThat(Math.exp(againstUncorrected)).isLessThan(0.95);
    }

    /** Squared errors of logits: rounded to nearest, calibrated without corrections, and with them. */
    private double[] errorsOfLogits(String name) throws InterruptedException {
        Path model = CHECKPOINTS.resolve(name);
        ModelConfig config = ModelConfig.read(model);
        int vocabulary = config.shape().vocabSize();
        int[] ids = new Random(1).ints(1500, 3, vocabulary).toArray();
        double[] errors = new double[3];
        try (CheckpointQuantizer quantizer =
                        CheckpointQuantizer.open(model, settings(new MatrixFormat(4, MatrixFormat.ROW, false), LARGE));
                Device device = new OpaqueBackend().openOpaque()) {
            long[] steps = {0};
            Rescaling found = quantizer.calibrate(device, ids, count -> steps[0] += count);
            assertThat(steps[0]).isEqualTo(quantizer.calibrationSteps(ids.length));
            Rescaling uncorrected = new Rescaling(found.columns(), found.rowDivisors(), found.inputs(), Map.of());
            List<Rescaling> rescalings = List.of(Rescaling.NONE, uncorrected, found);
            for (int i = 0; i < errors.length; i++) {
                quantizer.write(directory.resolve(name + i), rescalings.get(i), bytes -> {});
                try (Checkpoint source = Checkpoint.open(model);
                        Checkpoint written = Checkpoint.open(directory.resolve(name + i))) {
                    Random random = new Random(2);
                    for (int sequence = 0; sequence < 10; sequence++) {
                        int[] others = random.ints(40, 3, vocabulary).toArray();
                        errors[i] += squaredDistance(
                                logits(device, config, source, others), logits(device, config, written, others));
                    }
                }
            }
        }
        return errors;
    }

    private static double squaredDistance(float[] a, float[] b) {
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            sum += Math.pow(a[i] - b[i], 2);
        }
        return sum;
    }

    private static float spread(float[] factors) {
        float least = Float.POSITIVE_INFINITY;
        float most = 0;
        for (float factor : factors) {
            least = Math.min(least, factor);
            most = Math.max(most, factor);
        }
        return most / least;
    }

    private static float[] logits(Device device, ModelConfig config, WeightSource source) {
        return logits(device, config, source, new int[] {5, 9, 17, 30, 4, 8, 8, 50});
    }

    private static float[] logits(Device device, ModelConfig config, WeightSource source, int[] ids) {
        HeadSet heads = HeadSet.range(config.shape().kvHeads());
        CachePlan plan = new CachePlan(
                config.shape(),
                IntStream.range(0, config.shape().layers())
                        .mapToObj(layer -> new SlabPlan(layer, heads, new Retention.All()))
                        .toList());
        CacheSpec spec = new CacheSpec(plan, BlockFormat.F32, BlockFormat.F32, ids.length, ids.length, 0);
        try (DecoderWeights weights = new DecoderWeights(device, source, config);
                Activations scratch = new Activations(device, config.shape(), ids.length);
                HybridCache cache = HybridCache.allocate(device, spec);
                Tensor logits = device.allocate(
                        TensorSpec.of(DType.F32, 1, config.shape().vocabSize()));
                ComputeStream stream = device.openStream();
                Arena arena = Arena.ofConfined()) {
            Decoder decoder = new Decoder(
                    config, new RopeFrequencies(config.rope(), config.shape().headDim()), weights, scratch);
            decoder.feed(stream, ids, cache, PrefillMode.UPSTREAM);
            MemorySegment copy = arena.allocate(4L * config.shape().vocabSize(), 4);
            decoder.logits(stream, ids.length - 1, logits);
            stream.download(logits, copy);
            stream.synchronize();
            return copy.toArray(ValueLayout.JAVA_FLOAT);
        }
    }

    @Test
    void whatCannotBeDoneIsRefusedBeforeAnythingIsWritten() {
        Path model = CHECKPOINTS.resolve("mistral");
        MatrixFormat wide = new MatrixFormat(4, 128, false);
        assertThatThrownBy(() -> CheckpointQuantizer.open(model, settings(wide, LARGE)))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("rows of 48, which groups of 128 do not divide");
        MatrixFormat narrow = new MatrixFormat(4, 16, false);
        assertThatThrownBy(() -> CheckpointQuantizer.open(CHECKPOINTS.resolve("awq-int4"), settings(narrow, LARGE)))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("quantised already");
        QuantizationSettings head = new QuantizationSettings(narrow, Optional.of(narrow), Optional.empty(), LARGE, 1);
        assertThatThrownBy(() -> CheckpointQuantizer.open(CHECKPOINTS.resolve("qwen3"), head))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("tie_word_embeddings");
    }

    @Test
    void anInterruptedRunLeavesNothing() throws IOException {
        try (CheckpointQuantizer quantizer = CheckpointQuantizer.open(
                CHECKPOINTS.resolve("mistral"), settings(new MatrixFormat(4, 16, false), LARGE))) {
            assertThatThrownBy(() -> quantizer.write(
                            directory.resolve("out"),
                            Rescaling.NONE,
                            bytes -> Thread.currentThread().interrupt()))
                    .isInstanceOf(InterruptedException.class);
            assertThat(Thread.interrupted()).isFalse();
        }
        assertThat(directory).isEmptyDirectory();
        Files.writeString(directory.resolve("mine"), "x");
        try (CheckpointQuantizer quantizer = CheckpointQuantizer.open(
                CHECKPOINTS.resolve("mistral"), settings(new MatrixFormat(4, 16, false), LARGE))) {
            assertThatThrownBy(() -> quantizer.write(directory, Rescaling.NONE, bytes -> {}))
                    .isInstanceOf(DuoException.class)
                    .hasMessageContaining("not empty");
        }
        assertThat(directory.resolve("mine")).hasContent("x");
    }
}
