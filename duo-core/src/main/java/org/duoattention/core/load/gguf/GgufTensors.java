package org.duoattention.core.load.gguf;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.EnumSet;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.LongUnaryOperator;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.HostWeight;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.core.DuoException;
import org.duoattention.core.load.WeightSource;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.model.ModelFamily;

/**
 * The weights of a GGUF model under the names of Hugging Face checkpoints. Dense tensors are views of the mapped file; only
 * those whose rows the format permutes ({@link HeadRows}) are copied, into memory that lives as long as the mapping.
 * Quantised ones are decoded when they are asked for.
 */
final class GgufTensors implements WeightSource {
    private static final Map<GgufType, DType> DENSE =
            Map.of(GgufType.F32, DType.F32, GgufType.F16, DType.F16, GgufType.BF16, DType.BF16);

    private final Path file;
    private final ModelConfig config;
    private final Arena arena;
    private final Map<String, StoredGgufTensor> tensors = new TreeMap<>();
    private final Map<String, MemorySegment> copies = new ConcurrentHashMap<>();

    /**
     * The weights of a model.
     *
     * @param arena owns the mapping, and the copies
     */
    GgufTensors(GgufContent content, ModelConfig config, Arena arena) {
        this.file = content.file();
        this.config = config;
        this.arena = arena;
        content.tensors()
                .forEach((name, tensor) -> TensorNames.toHuggingFace(name)
                        .ifPresent(translated -> tensors.put(translated, readable(tensor))));
    }

    @Override
    public Optional<HostTensor> find(String name) {
        return Optional.ofNullable(tensors.get(name)).map(tensor -> toHost(name, tensor));
    }

    @Override
    public Optional<MemorySegment> bytes(String name) {
        return Optional.ofNullable(tensors.get(name)).map(StoredGgufTensor::data);
    }

    @Override
    public HostTensor get(String name, long... shape) {
        return toHost(name, require(name, shape));
    }

    private StoredGgufTensor require(String name, long... shape) {
        StoredGgufTensor stored = tensors.get(name);
        if (stored == null) {
            throw new DuoException(file + ": the tensor that stands for " + name + " of shape " + Arrays.toString(shape)
                    + " is missing; the file is incomplete or damaged, download it again");
        }
        if (!Arrays.equals(stored.info().shape(), shape)) {
            throw new DuoException(stored.file() + ": tensor " + stored.info().name() + " has shape "
                    + Arrays.toString(stored.info().shape()) + ", the metadata asks for " + Arrays.toString(shape));
        }
        return stored;
    }

    @Override
    public HostWeight matrix(String name, long rows, long columns, Arena decoded) {
        StoredGgufTensor stored = require(name, rows, columns);
        Optional<BlockDecoder> decoder = BlockDecoder.of(stored.info().type());
        if (decoder.isEmpty()) {
            return toHost(name, stored);
        }
        LongUnaryOperator order = permutedRows(name, stored)
                .<LongUnaryOperator>map(rowsOf -> rowsOf::stored)
                .orElse(row -> row);
        return new QuantizedRows(stored, decoder.get(), order).decode(decoded);
    }

    @Override
    public boolean isQuantized() {
        return tensors.values().stream()
                .anyMatch(tensor -> BlockDecoder.of(tensor.info().type()).isPresent());
    }

    private HostTensor toHost(String name, StoredGgufTensor stored) {
        DType dtype = DENSE.get(stored.info().type());
        if (dtype == null) {
            throw new DuoException(stored.file() + ": tensor " + stored.info().name() + " is "
                    + stored.info().type() + ", expected F32, F16 or BF16 for a vector; convert the model again");
        }
        TensorSpec spec = TensorSpec.of(dtype, stored.info().shape());
        Optional<HeadRows> rows = permutedRows(name, stored);
        return new HostTensor(
                spec,
                rows.isEmpty()
                        ? stored.data()
                        : copies.computeIfAbsent(name, key -> rows.get().restored(stored.data(), arena)));
    }

    /** Refuses types that are neither dense nor decoded, before any weight is touched. */
    private static StoredGgufTensor readable(StoredGgufTensor stored) {
        GgufType type = stored.info().type();
        if (!DENSE.containsKey(type) && BlockDecoder.of(type).isEmpty()) {
            throw new DuoException(stored.file() + ": tensor " + stored.info().name() + " is " + type
                    + ", which is not supported; use a conversion to F32, F16, BF16, " + BlockDecoder.known());
        }
        return stored;
    }

    /** How the rows of a tensor are permuted, if they are. */
    private Optional<HeadRows> permutedRows(String name, StoredGgufTensor stored) {
        if (config.family() != ModelFamily.LLAMA) {
            return Optional.empty();
        }
        ModelShape shape = config.shape();
        int heads =
                name.contains(".q_proj.") ? shape.attentionHeads() : name.contains(".k_proj.") ? shape.kvHeads() : 0;
        if (heads == 0) {
            return Optional.empty();
        }
        // A shape that does not fit is refused by whoever asks for the right one.
        long rows = stored.info().shape()[0];
        return rows == (long) heads * shape.headDim()
                ? Optional.of(new HeadRows(heads, shape.headDim()))
                : Optional.empty();
    }

    @Override
    public Set<String> names() {
        return Collections.unmodifiableSet(tensors.keySet());
    }

    @Override
    public Set<DType> dtypes() {
        Set<DType> types = EnumSet.noneOf(DType.class);
        for (StoredGgufTensor tensor : tensors.values()) {
            Optional.ofNullable(DENSE.get(tensor.info().type())).ifPresent(types::add);
        }
        return types;
    }

    @Override
    public Map<String, Long> bytesByType() {
        Map<String, Long> bytes = new TreeMap<>();
        for (StoredGgufTensor tensor : tensors.values()) {
            bytes.merge(
                    tensor.info().type().name().toLowerCase(Locale.ROOT),
                    tensor.info().bytes(),
                    Long::sum);
        }
        return bytes;
    }

    @Override
    public long totalBytes() {
        return tensors.values().stream()
                .mapToLong(tensor -> tensor.info().bytes())
                .sum();
    }
}
