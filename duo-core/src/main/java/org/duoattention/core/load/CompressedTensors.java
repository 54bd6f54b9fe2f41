package org.duoattention.core.load;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.JsonObject;
import org.duoattention.core.json.Quoted;

/**
 * The {@code pack-quantized} format of compressed-tensors (vllm-project/compressed-tensors, {@code pack_quantized}): codes
 * of 4 or 8 bits, offset by half their range so that they are unsigned, packed along the row into 32-bit words from the
 * lowest bits up; scales {@code [rows, groups]}; zero points of asymmetric groups as codes, packed along the rows.
 *
 * <p>The codes lie as {@link QuantizedMatrix} has them and are not copied.
 */
final class CompressedTensors implements Packing {
    private static final String PACKED = ".weight_packed";
    private static final String SCALE = ".weight_scale";
    private static final String ZERO_POINT = ".weight_zero_point";
    private static final String SHAPE = ".weight_shape";
    private static final String GROUP_INDEX = ".weight_g_idx";
    private static final int MOST_GROUP = 1 << 24;

    /**
     * How one set of layers is quantised.
     *
     * @param bits 4 or 8
     * @param group numbers that share a scale; 0 for the whole row
     * @param symmetric whether there are no zero points
     * @param targets the layers
     */
    private record Scheme(int bits, int group, boolean symmetric, ModuleNames targets) {}

    private final String file;
    private final List<Scheme> schemes;
    private final ModuleNames ignored;

    private CompressedTensors(String file, List<Scheme> schemes, ModuleNames ignored) {
        this.file = file;
        this.schemes = schemes;
        this.ignored = ignored;
    }

    static Packing read(JsonObject config) {
        requireFormat(config);
        for (String key : List.of("kv_cache_scheme", "transform_config")) {
            if (config.isSet(key)
                    && !config.object(key).map(JsonObject::keys).orElseThrow().isEmpty()) {
                throw config.problem(key, "nothing; that part of the format is not supported");
            }
        }
        Optional<JsonObject> sparsity = config.object("sparsity_config");
        if (sparsity.isPresent()
                && !sparsity.get().string("format").orElse("dense").equals("dense")) {
            throw sparsity.get().problem("format", "dense; sparse weights are not supported");
        }
        List<Scheme> schemes = new ArrayList<>();
        JsonObject groups = config.object("config_groups")
                .orElseThrow(() -> new DuoException(config.file() + ": quantization_config.config_groups is missing;"
                        + " expected an object that says how layers are quantised"));
        for (Map.Entry<String, JsonObject> group : groups.objects().entrySet()) {
            schemes.add(scheme(group.getValue()));
        }
        if (schemes.isEmpty()) {
            throw config.problem("config_groups", "an object that says how layers are quantised");
        }
        return new CompressedTensors(
                config.file(),
                List.copyOf(schemes),
                ModuleNames.of(config, "ignore", config.strings("ignore").orElse(List.of())));
    }

    private static void requireFormat(JsonObject config) {
        if (config.isSet("format") && !config.string("format").orElseThrow().equals("pack-quantized")) {
            throw config.problem("format", "pack-quantized, the only one of compressed-tensors that is supported");
        }
    }

    private static Scheme scheme(JsonObject group) {
        requireFormat(group);
        for (String key : List.of("input_activations", "output_activations")) {
            if (group.isSet(key)) {
                throw group.problem(key, "null; quantised activations are not supported");
            }
        }
        JsonObject weights = group.object("weights")
                .orElseThrow(() -> group.problem("weights", "an object with num_bits, strategy and group_size"));
        String type = weights.string("type").orElse("int");
        if (!type.equals("int")) {
            throw weights.problem("type", "int; other kinds of codes are not supported");
        }
        int bits = weights.requiredInteger("num_bits", 1, 32);
        if (bits != 4 && bits != 8) {
            throw weights.problem("num_bits", "4 or 8");
        }
        int size = Math.toIntExact(weights.integer("group_size", -1, MOST_GROUP).orElse(0));
        String strategy = weights.string("strategy").orElse(size > 0 ? "group" : size < 0 ? "channel" : "tensor");
        if (!strategy.equals("group") && !strategy.equals("channel")) {
            throw weights.problem("strategy", "group or channel; " + Quoted.of(strategy) + " is not supported");
        }
        if (strategy.equals("group") && size <= 0) {
            throw weights.problem("group_size", "a positive number, since the strategy is group");
        }
        if (weights.bool("dynamic", false)) {
            throw weights.problem("dynamic", "false; weights are quantised once");
        }
        return new Scheme(
                bits,
                strategy.equals("channel") ? 0 : size,
                weights.bool("symmetric", true),
                ModuleNames.of(
                        group,
                        "targets",
                        group.strings("targets")
                                .orElseThrow(() -> group.problem("targets", "a list of names or classes of layers"))));
    }

    @Override
    public boolean isMatrix(String name) {
        return name.endsWith(PACKED);
    }

    @Override
    public Optional<QuantizedMatrix> find(StoredTensors tensors, String module, long rows, long columns, Arena arena) {
        Optional<StoredTensor> found = tensors.find(module + PACKED);
        if (found.isEmpty()) {
            return Optional.empty();
        }
        Scheme scheme = schemeOf(module, found.get());
        PackedLayer layer = new PackedLayer(
                tensors,
                module,
                rows,
                columns,
                scheme.bits(),
                scheme.group(),
                PACKED,
                "config.json asks for " + rows + " x " + columns + " with " + scheme.bits() + " bits");
        layer.requireAlone(PACKED);
        StoredTensor packed = layer.require(PACKED, "I32", rows, Math.ceilDiv(columns * scheme.bits(), 32));
        checkShape(layer);
        if (tensors.has(module + GROUP_INDEX)) {
            layer.requireOrdered(GROUP_INDEX);
        }
        StoredTensor scales = layer.require(SCALE, "F16 BF16 F32", rows, layer.groups());
        LayerScales layerScales = new LayerScales(layer, SCALE, scales, false);
        if (scheme.symmetric()) {
            if (tensors.has(module + ZERO_POINT)) {
                throw StoredTensors.problem(
                        module + ZERO_POINT,
                        tensors.find(module + ZERO_POINT).orElseThrow(),
                        "is there although config.json says that the weights are symmetric");
            }
            return Optional.of(layerScales.symmetric(codes(layer, packed, arena), arena));
        }
        return Optional.of(layerScales.asymmetric(codes(layer, packed, arena), zeros(layer), arena));
    }

    private Scheme schemeOf(String module, StoredTensor packed) {
        if (!ignored.contains(module)) {
            for (ModuleNames.Kind kind : ModuleNames.Kind.values()) {
                for (Scheme scheme : schemes) {
                    if (scheme.targets().contains(module, kind)) {
                        return scheme;
                    }
                }
            }
        }
        throw StoredTensors.problem(
                module + PACKED,
                packed,
                "is quantised, but " + file + " does not say how: no config_groups entry is for it, or it is ignored");
    }

    private static void checkShape(PackedLayer layer) {
        Optional<StoredTensor> stored = layer.find(SHAPE);
        if (stored.isEmpty()) {
            return;
        }
        StoredTensor shape = layer.require(SHAPE, "I64 I32", 2);
        boolean wide = shape.header().type().equals("I64");
        long rows = wide ? shape.data().get(PackedLayer.I64, 0) : shape.data().get(PackedLayer.I32, 0);
        long columns =
                wide ? shape.data().get(PackedLayer.I64, 8) : shape.data().get(PackedLayer.I32, 4);
        if (rows != layer.rows() || columns != layer.columns()) {
            throw layer.problem(
                    SHAPE,
                    shape,
                    "says " + rows + " x " + columns + ", expected " + layer.rows() + " x " + layer.columns());
        }
    }

    private static MemorySegment codes(PackedLayer layer, StoredTensor packed, Arena arena) {
        long used = layer.columns() * layer.bits() / 8;
        long stored = Math.ceilDiv(layer.columns() * layer.bits(), 32) * 4;
        if (used == stored) {
            return packed.data();
        }
        MemorySegment codes = arena.allocate(layer.rows() * used);
        for (long row = 0; row < layer.rows(); row++) {
            MemorySegment.copy(packed.data(), row * stored, codes, row * used, used);
        }
        return codes;
    }

    private static LayerScales.Zeros zeros(PackedLayer layer) {
        Optional<StoredTensor> stored = layer.find(ZERO_POINT);
        int bits = layer.bits();
        int half = 1 << bits - 1;
        long groups = layer.groups();
        if (stored.isPresent() && stored.get().header().type().equals("I8")) {
            // As written before zero points were packed: signed.
            MemorySegment data =
                    layer.require(ZERO_POINT, "I8", layer.rows(), groups).data();
            return (row, group) -> data.get(PackedLayer.I8, row * groups + group) + half;
        }
        MemorySegment data = layer.require(ZERO_POINT, "I32", Math.ceilDiv(layer.rows() * bits, 32), groups)
                .data();
        int perWord = 32 / bits;
        return (row, group) ->
                data.get(PackedLayer.I32, 4 * (row / perWord * groups + group)) >>> (int) (row % perWord) * bits
                        & (1 << bits) - 1;
    }
}
