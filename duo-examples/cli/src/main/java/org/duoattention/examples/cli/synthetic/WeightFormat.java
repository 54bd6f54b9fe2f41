package org.duoattention.examples.cli.synthetic;

import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Requirements;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.QuantizedSpec;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.core.DuoException;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.model.ModelTensors;

/**
 * How the weights of a shape are stored: matrices in this format, norms and biases as F16 (F32, BF16 when the matrices are).
 *
 * @param matrices format of embeddings and linear layers; quantised ones are symmetric in groups with F16 scales
 */
public record WeightFormat(BlockFormat matrices) {
    /** Weights per scale: that of the peers' formats Q4_0 and Q8_0. */
    private static final int GROUP = 32;

    /** More than addresses of 57 bits reach, and little enough that sums with it are exact. */
    private static final long MOST_BYTES = 1L << 58;

    /**
     * A format by name.
     *
     * @return empty unless the name is {@code f32}, {@code f16}, {@code bf16}, {@code int8} or {@code int4}
     */
    public static Optional<WeightFormat> of(String name) {
        return switch (name.toLowerCase(Locale.ROOT)) {
            case "f32" -> Optional.of(new WeightFormat(BlockFormat.F32));
            case "f16" -> Optional.of(new WeightFormat(BlockFormat.F16));
            case "bf16" -> Optional.of(new WeightFormat(BlockFormat.BF16));
            case "int8" -> Optional.of(new WeightFormat(new BlockFormat.Grouped(8, GROUP, false, DType.F16)));
            case "int4" -> Optional.of(new WeightFormat(new BlockFormat.Grouped(4, GROUP, false, DType.F16)));
            default -> Optional.empty();
        };
    }

    /** The short name. */
    public String label() {
        return matrices.label();
    }

    /** The type of norms and biases, and of the matrices where they are dense. */
    public DType dense() {
        return matrices instanceof BlockFormat.Dense plain ? plain.dtype() : DType.F16;
    }

    /**
     * What weights in this format need of a backend.
     *
     * @param name the model's name for messages
     * @param kv storage format of the cache
     */
    public Requirements requirements(String name, ModelConfig config, BlockFormat kv) {
        return new Requirements(
                name,
                config.shape(),
                Set.of(dense()),
                kv,
                matrices instanceof BlockFormat.Grouped ? Set.of(Capability.QUANTIZED_WEIGHTS) : Set.of());
    }

    /**
     * Bytes of all weights: of device memory for quantised matrices and where a device uploads, of host memory that it
     * reads in place otherwise.
     *
     * @throws DuoException when the groups do not divide a matrix, or the weights are more than any machine holds
     */
    public long bytes(Device device, ModelConfig config) {
        long bytes = 0;
        for (ModelTensors.Entry entry : ModelTensors.of(config)) {
            bytes += bytes(device, entry);
            if (bytes > MOST_BYTES) {
                throw new DuoException(config.file() + ": the weights of this shape take more than " + MOST_BYTES
                        + " bytes; check its extents");
            }
        }
        return bytes;
    }

    private long bytes(Device device, ModelTensors.Entry entry) {
        if (entry.isMatrix() && matrices instanceof BlockFormat.Grouped grouped) {
            return device.bytes(quantized(grouped, entry));
        }
        return new TensorSpec(dense(), entry.shape()).byteSize();
    }

    /** The spec of a matrix in a quantised format. */
    static QuantizedSpec quantized(BlockFormat.Grouped grouped, ModelTensors.Entry entry) {
        long columns = entry.shape().get(1);
        if (columns % grouped.group() != 0) {
            throw new DuoException("--weights " + grouped.label() + " has groups of " + grouped.group()
                    + ", which do not divide the " + columns + " columns of " + entry.name() + "; use f16");
        }
        return new QuantizedSpec(grouped, entry.shape().get(0), columns);
    }
}
