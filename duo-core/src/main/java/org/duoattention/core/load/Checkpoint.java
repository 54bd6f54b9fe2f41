package org.duoattention.core.load;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.EnumSet;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.HostWeight;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.Quoted;

/**
 * The weights in a checkpoint directory in Hugging Face layout: {@code model.safetensors}, or the shards that {@code
 * model.safetensors.index.json} lists. Its matrices may be quantised, as {@code quantization_config} in config.json says.
 *
 * <p>Files are mapped, not read: opening costs the headers only, and the pages of a tensor are loaded by the operating
 * system when they are touched. Everything a header says is checked against the file's size before it is believed. The
 * files must not shrink while the checkpoint is open; a read past the new end then fails with an {@link InternalError}.
 *
 * <p>Owns the mappings: after {@link #close} every tensor that came from it throws {@link IllegalStateException} when
 * read. Close it after everything that adopted its tensors.
 */
public final class Checkpoint implements WeightSource, AutoCloseable {
    private static final String SINGLE = "model.safetensors";
    private static final String WEIGHT = ".weight";

    private final Path directory;
    private final Arena arena;
    private final Map<String, StoredTensor> tensors;
    private final Optional<Packing> packing;

    private Checkpoint(Path directory, Arena arena, Map<String, StoredTensor> tensors, Optional<Packing> packing) {
        this.directory = directory;
        this.arena = arena;
        this.tensors = tensors;
        this.packing = packing;
    }

    /**
     * Opens the checkpoint in a directory.
     *
     * @throws DuoException when files are missing, truncated, malformed or contradict each other; nothing stays open
     *     then
     */
    public static Checkpoint open(Path directory) {
        if (!Files.isDirectory(directory)) {
            throw new DuoException(directory + ": no such directory; expected a checkpoint directory with config.json"
                    + " and model.safetensors");
        }
        Path single = directory.resolve(SINGLE);
        Path index = directory.resolve(ShardIndex.FILE_NAME);
        Arena arena = Arena.ofShared();
        try {
            Map<String, StoredTensor> tensors = new TreeMap<>();
            if (Files.exists(single)) {
                tensors.putAll(SafetensorsFile.map(single, arena));
            } else if (Files.exists(index)) {
                tensors.putAll(ShardIndex.read(index).map(arena));
            } else {
                throw new DuoException(directory + ": has neither " + SINGLE + " nor " + ShardIndex.FILE_NAME
                        + "; give a directory with safetensors weights");
            }
            return new Checkpoint(directory, arena, tensors, QuantizationConfig.read(directory));
        } catch (Throwable t) {
            arena.close();
            throw t;
        }
    }

    /** The directory that was opened. */
    public Path directory() {
        return directory;
    }

    @Override
    public Optional<HostTensor> find(String name) {
        return Optional.ofNullable(tensors.get(name)).map(tensor -> toHost(name, tensor));
    }

    @Override
    public Optional<MemorySegment> bytes(String name) {
        return Optional.ofNullable(tensors.get(name)).map(StoredTensor::data);
    }

    @Override
    public HostTensor get(String name, long... shape) {
        StoredTensor stored = tensors.get(name);
        if (stored == null) {
            throw new DuoException(directory + ": the weights lack tensor " + name + " of shape "
                    + Arrays.toString(shape) + "; the checkpoint is incomplete or of another model than config.json");
        }
        if (!Arrays.equals(stored.header().shape(), shape)) {
            throw new DuoException(stored.file() + ": tensor " + name + " has shape "
                    + Arrays.toString(stored.header().shape()) + ", config.json asks for " + Arrays.toString(shape));
        }
        return toHost(name, stored);
    }

    @Override
    public HostWeight matrix(String name, long rows, long columns, Arena decoded) {
        Optional<QuantizedMatrix> packed = Optional.empty();
        if (packing.isPresent() && name.endsWith(WEIGHT)) {
            String module = name.substring(0, name.length() - WEIGHT.length());
            packed = packing.get().find(new StoredTensors(directory, tensors), module, rows, columns, decoded);
        }
        return packed.isPresent() ? packed.get() : get(name, rows, columns);
    }

    @Override
    public boolean isQuantized() {
        return packing.isPresent() && tensors.keySet().stream().anyMatch(packing.get()::isMatrix);
    }

    private static HostTensor toHost(String name, StoredTensor stored) {
        DType dtype = stored.header()
                .weightType()
                .orElseThrow(() -> new DuoException(stored.file() + ": tensor " + Quoted.of(name) + " is "
                        + stored.header().type() + ", weights are F32, F16 or BF16; convert the checkpoint"));
        return new HostTensor(TensorSpec.of(dtype, stored.header().shape()), stored.data());
    }

    @Override
    public Set<String> names() {
        return Collections.unmodifiableSet(tensors.keySet());
    }

    @Override
    public Set<DType> dtypes() {
        Set<DType> types = EnumSet.noneOf(DType.class);
        tensors.values().forEach(tensor -> tensor.header().weightType().ifPresent(types::add));
        return types;
    }

    @Override
    public long totalBytes() {
        return tensors.values().stream()
                .mapToLong(tensor -> tensor.data().byteSize())
                .sum();
    }

    @Override
    public Map<String, Long> bytesByType() {
        Map<String, Long> bytes = new TreeMap<>();
        tensors.values()
                .forEach(tensor -> bytes.merge(
                        tensor.header().type().toLowerCase(Locale.ROOT),
                        tensor.data().byteSize(),
                        Long::sum));
        return bytes;
    }

    /** Unmaps the files. */
    @Override
    public void close() {
        if (arena.scope().isAlive()) {
            arena.close();
        }
    }
}
