package org.duoattention.core.quantize;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.core.DuoException;
import org.duoattention.core.load.WeightSource;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.quant.checkpoint.PackedMatrix;

/** Which tensor of a checkpoint becomes what, and in which file it lies; made before anything is written. */
final class QuantizationPlan {
    static final String HEAD = "lm_head";
    static final String EMBEDDING = "model.embed_tokens";
    private static final String WEIGHT = ".weight";
    private static final Set<String> LINEARS = Set.of(
            "self_attn.q_proj",
            "self_attn.k_proj",
            "self_attn.v_proj",
            "self_attn.o_proj",
            "mlp.gate_proj",
            "mlp.up_proj",
            "mlp.down_proj");

    /**
     * What becomes of one tensor.
     *
     * @param name in the source
     * @param format its new format; empty when it stays dense
     * @param written names and shapes in the output
     */
    record Item(String name, Optional<MatrixFormat> format, Map<String, TensorSpec> written) {
        long bytes() {
            return written.values().stream().mapToLong(TensorSpec::byteSize).sum();
        }

        String module() {
            return name.substring(0, name.length() - WEIGHT.length());
        }
    }

    private final List<List<Item>> shards = new ArrayList<>();

    private QuantizationPlan() {}

    /**
     * Plans a whole checkpoint.
     *
     * @throws DuoException when a tensor cannot be quantised as the settings ask for
     */
    static QuantizationPlan of(Path model, WeightSource source, ModelConfig config, QuantizationSettings settings) {
        QuantizationPlan plan = new QuantizationPlan();
        long bytes = 0;
        List<Item> shard = new ArrayList<>();
        for (String name : source.names()) {
            Item item = item(model, source, config, name, settings);
            if (!shard.isEmpty() && bytes + item.bytes() > settings.shardBytes()) {
                plan.shards.add(shard);
                shard = new ArrayList<>();
                bytes = 0;
            }
            shard.add(item);
            bytes += item.bytes();
        }
        plan.shards.add(shard);
        return plan;
    }

    private static Item item(
            Path model, WeightSource source, ModelConfig config, String name, QuantizationSettings settings) {
        HostTensor tensor = source.find(name).orElseThrow();
        Optional<MatrixFormat> format = format(config, name, settings);
        if (format.isEmpty()) {
            return new Item(name, format, Map.of(name, tensor.spec()));
        }
        String what = model + ": tensor " + name + " ";
        if (tensor.spec().rank() != 2) {
            throw new DuoException(what + "has shape " + tensor.spec().shape() + ", expected a matrix");
        }
        try {
            long columns = tensor.spec().extent(1);
            PackedMatrix packed = new PackedMatrix(
                    name.substring(0, name.length() - WEIGHT.length()),
                    format.get().forRows(columns),
                    tensor.spec().rows(),
                    columns);
            return new Item(name, format, new LinkedHashMap<>(packed.tensors()));
        } catch (IllegalArgumentException e) {
            throw new DuoException(what + e.getMessage() + "; choose another group size (--group 32, 64 or 128)", e);
        }
    }

    private static Optional<MatrixFormat> format(ModelConfig config, String name, QuantizationSettings settings) {
        if (name.equals(EMBEDDING + WEIGHT)) {
            return settings.embedding();
        }
        if (name.equals(HEAD + WEIGHT)) {
            return config.tieWordEmbeddings() ? Optional.empty() : settings.head();
        }
        for (int layer = 0; layer < config.shape().layers(); layer++) {
            String prefix = "model.layers." + layer + ".";
            if (name.startsWith(prefix) && name.endsWith(WEIGHT)) {
                String inner = name.substring(prefix.length(), name.length() - WEIGHT.length());
                return LINEARS.contains(inner) ? Optional.of(settings.linears()) : Optional.empty();
            }
        }
        return Optional.empty();
    }

    /** The files in order, and what lies in each. */
    List<List<Item>> shards() {
        return shards;
    }

    /** The name of a file. */
    String fileName(int shard) {
        return shards.size() == 1
                ? "model.safetensors"
                : "model-%05d-of-%05d.safetensors".formatted(shard + 1, shards.size());
    }

    /** Bytes of all tensors together. */
    long bytes() {
        return shards.stream().flatMap(List::stream).mapToLong(Item::bytes).sum();
    }

    /** The content of the index when there are several files. */
    Map<String, Object> index() {
        Map<String, Object> files = new LinkedHashMap<>();
        for (int i = 0; i < shards.size(); i++) {
            for (Item item : shards.get(i)) {
                for (String name : item.written().keySet()) {
                    files.put(name, fileName(i));
                }
            }
        }
        return Map.of("metadata", Map.of("total_size", bytes()), "weight_map", files);
    }
}
