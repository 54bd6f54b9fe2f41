package org.duoattention.core.quantize;

import java.io.IOException;
import java.nio.channels.ClosedByInterruptException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.IntConsumer;
import java.util.function.LongConsumer;
import java.util.stream.Stream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Requirements;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.core.DuoException;
import org.duoattention.core.NewDirectory;
import org.duoattention.core.json.JsonFile;
import org.duoattention.core.load.Checkpoint;
import org.duoattention.core.load.gguf.GgufModel;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.model.ModelTensors;
import org.duoattention.quant.checkpoint.PackedMatrix;
import org.duoattention.quant.checkpoint.SafetensorsWriter;
import org.duoattention.quant.weight.Floats;
import org.duoattention.quant.weight.WeightQuantizer;
import org.jspecify.annotations.Nullable;

/**
 * Writes a quantised copy of a checkpoint in the {@code pack-quantized} format of compressed-tensors. Matrices are read,
 * quantised and written in pieces of rows, so that memory does not grow with the checkpoint; the directory appears when it
 * is complete.
 *
 * <p>Owns the source checkpoint. One thread at a time.
 */
public final class CheckpointQuantizer implements AutoCloseable {
    private static final String INDEX = "model.safetensors.index.json";
    private static final String HEADS = "heads";
    private static final String CONFIG_KEY = "quantization_config";
    private static final List<String> COMPANIONS = List.of(
            "generation_config.json",
            "tokenizer.json",
            "tokenizer.model",
            "tokenizer_config.json",
            "special_tokens_map.json",
            "added_tokens.json",
            "vocab.json",
            "merges.txt",
            "chat_template.jinja",
            "chat_template.json");

    private final Path model;
    private final ModelConfig config;
    private final QuantizationSettings settings;
    private final Checkpoint source;
    private final QuantizationPlan plan;

    private CheckpointQuantizer(
            Path model, ModelConfig config, QuantizationSettings settings, Checkpoint source, QuantizationPlan plan) {
        this.model = model;
        this.config = config;
        this.settings = settings;
        this.source = source;
        this.plan = plan;
    }

    /**
     * Opens a checkpoint and decides what becomes of each tensor; writes nothing.
     *
     * @throws DuoException when the checkpoint cannot be read or is incomplete, is quantised already, is in GGUF format,
     *     or has a matrix that cannot be quantised as asked for
     */
    public static CheckpointQuantizer open(Path model, QuantizationSettings settings) {
        if (GgufModel.isAt(model)) {
            throw new DuoException(model + ": is not the directory of a safetensors checkpoint, which is what can be"
                    + " quantised; GGUF files are made with types of their own");
        }
        ModelConfig config = ModelConfig.read(model);
        if (JsonFile.read(config.file()).isSet(CONFIG_KEY)) {
            throw new DuoException(config.file()
                    + ": the weights are quantised already; give the checkpoint that they were made from");
        }
        if (settings.head().isPresent() && config.tieWordEmbeddings()) {
            throw new DuoException(config.file() + ": the output layer is the embedding table (tie_word_embeddings),"
                    + " which has no format of its own; quantise the embedding or leave both");
        }
        Checkpoint source = Checkpoint.open(model);
        try {
            for (ModelTensors.Entry entry : ModelTensors.of(config)) {
                source.get(
                        entry.name(),
                        entry.shape().stream().mapToLong(Long::longValue).toArray());
            }
            return new CheckpointQuantizer(
                    model, config, settings, source, QuantizationPlan.of(model, source, config, settings));
        } catch (RuntimeException | Error e) {
            source.close();
            throw e;
        }
    }

    /** What a device has to offer for {@link #calibrate}. */
    public Requirements requirements() {
        return new Requirements(
                String.valueOf(model.toAbsolutePath().normalize().getFileName()),
                config.shape(),
                source.dtypes(),
                BlockFormat.F16,
                Set.of());
    }

    /**
     * Lets the model read a text and searches what makes its quantised linear layers most exact on it: see {@link
     * Calibration}.
     *
     * @param device runs the model; stays open
     * @param ids tokens of the text
     * @param progress told the steps that were done since it was told last, of {@link #calibrationSteps}
     * @throws DuoException when a number cannot be quantised
     * @throws InterruptedException when the thread is interrupted
     */
    public Rescaling calibrate(Device device, int[] ids, IntConsumer progress) throws InterruptedException {
        try {
            return Calibration.run(device, config, source, settings, ids, progress);
        } catch (IllegalArgumentException e) {
            throw new DuoException(model + ": a matrix of the decoder layers " + e.getMessage(), e);
        }
    }

    /** Steps of {@link #calibrate} for a text of so many tokens. */
    public long calibrationSteps(int tokens) {
        return Calibration.steps(config, tokens);
    }

    /** Bytes of the source's tensors. */
    public long sourceBytes() {
        return source.totalBytes();
    }

    /** Bytes of the tensors that are written. */
    public long targetBytes() {
        return plan.bytes();
    }

    /**
     * Writes the checkpoint.
     *
     * @param out a new or an empty directory
     * @param rescaling factors to be applied first
     * @param progress told the bytes of the source that were done since it was told last
     * @throws DuoException when the directory has content or cannot be written, or a number cannot be quantised; nothing
     *     is left then
     * @throws InterruptedException when the thread is interrupted; nothing is left then
     */
    public void write(Path out, Rescaling rescaling, LongConsumer progress) throws InterruptedException {
        NewDirectory.<InterruptedException>create(out, directory -> {
            requireSpace(directory, out);
            try (WeightQuantizer quantizer = new WeightQuantizer(settings.threads())) {
                for (int shard = 0; shard < plan.shards().size(); shard++) {
                    writeShard(directory, shard, quantizer, rescaling, progress);
                }
            } catch (ClosedByInterruptException e) {
                Thread.interrupted();
                throw new InterruptedException("while a file of weights was written");
            }
            if (plan.shards().size() > 1) {
                Files.writeString(directory.resolve(INDEX), JsonFile.format(plan.index()));
            }
            Map<String, @Nullable Object> config =
                    JsonFile.read(model.resolve(ModelConfig.FILE_NAME)).toMap();
            config.put(CONFIG_KEY, CompressedTensorsConfig.of(settings));
            Files.writeString(directory.resolve(ModelConfig.FILE_NAME), JsonFile.format(config));
            copyCompanions(directory);
        });
    }

    private void requireSpace(Path directory, Path out) throws IOException {
        long free = Files.getFileStore(directory).getUsableSpace();
        if (free < plan.bytes()) {
            throw new DuoException(out + ": the checkpoint takes " + plan.bytes() + " bytes, the file system has "
                    + free + " left; make room or choose another place");
        }
    }

    private void copyCompanions(Path directory) throws IOException {
        for (String name : COMPANIONS) {
            if (Files.isRegularFile(model.resolve(name))) {
                Files.copy(model.resolve(name), directory.resolve(name));
            }
        }
        Path heads = model.resolve(HEADS);
        if (Files.isDirectory(heads)) {
            // A pattern of retrieval heads belongs to the model, not to the precision of its weights.
            Files.createDirectory(directory.resolve(HEADS));
            try (Stream<Path> files = Files.list(heads)) {
                for (Path file : files.filter(Files::isRegularFile).toList()) {
                    Files.copy(file, directory.resolve(HEADS).resolve(file.getFileName()));
                }
            }
        }
    }

    private void writeShard(
            Path directory, int shard, WeightQuantizer quantizer, Rescaling rescaling, LongConsumer progress)
            throws IOException, InterruptedException {
        List<QuantizationPlan.Item> items = plan.shards().get(shard);
        Map<String, TensorSpec> tensors = new LinkedHashMap<>();
        items.forEach(item -> tensors.putAll(item.written()));
        Path file = directory.resolve(plan.fileName(shard));
        // Readers of transformers ask for that line.
        try (SafetensorsWriter writer = SafetensorsWriter.create(file, tensors, Map.of("format", "pt"))) {
            for (QuantizationPlan.Item item : items) {
                HostTensor tensor = source.find(item.name()).orElseThrow();
                try {
                    if (item.format().isPresent()) {
                        quantize(writer, item, tensor, quantizer, rescaling, progress);
                    } else {
                        copy(writer, item.name(), tensor, rescaling);
                        progress.accept(tensor.spec().byteSize());
                    }
                } catch (IllegalArgumentException e) {
                    throw new DuoException(model + ": tensor " + item.name() + " " + e.getMessage(), e);
                }
            }
            writer.finish();
        }
    }

    private static void copy(SafetensorsWriter writer, String name, HostTensor tensor, Rescaling rescaling)
            throws IOException {
        if (!rescaling.changes(name)) {
            writer.write(name, tensor);
            return;
        }
        int elements = Math.toIntExact(tensor.spec().elements());
        float[] values = new float[elements];
        Floats.read(tensor, 0, values, elements);
        rescaling.apply(name, values, 0, elements, 1);
        writer.append(name, values);
    }

    private static void quantize(
            SafetensorsWriter writer,
            QuantizationPlan.Item item,
            HostTensor tensor,
            WeightQuantizer quantizer,
            Rescaling rescaling,
            LongConsumer progress)
            throws IOException, InterruptedException {
        long columns = tensor.spec().extent(1);
        BlockFormat.Grouped format = item.format().orElseThrow().forRows(columns);
        PackedMatrix packed =
                new PackedMatrix(item.module(), format, tensor.spec().rows(), columns);
        MatrixPieces.<IOException>quantize(
                item.name(), tensor, format, packed.rowMultiple(), quantizer, rescaling, (rows, first) -> {
                    packed.append(writer, rows);
                    progress.accept((long) rows.rows()
                            * rows.columns()
                            * tensor.spec().dtype().bytes());
                });
    }

    /** Closes the source. */
    @Override
    public void close() {
        source.close();
    }
}
