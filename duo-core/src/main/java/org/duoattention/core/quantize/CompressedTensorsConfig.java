package org.duoattention.core.quantize;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The {@code quantization_config} that tells compressed-tensors, and so vLLM and transformers, how matrices are packed. */
final class CompressedTensorsConfig {
    private CompressedTensorsConfig() {}

    static Map<String, @Nullable Object> of(QuantizationSettings settings) {
        Map<String, @Nullable Object> groups = new LinkedHashMap<>();
        groups.put("group_0", group("Linear", settings.linears()));
        List<String> ignore = new ArrayList<>();
        if (settings.head().isPresent()) {
            groups.put(
                    "group_" + groups.size(),
                    group("re:.*" + QuantizationPlan.HEAD + "$", settings.head().get()));
        } else {
            ignore.add(QuantizationPlan.HEAD);
        }
        settings.embedding().ifPresent(format -> groups.put("group_" + groups.size(), group("Embedding", format)));
        Map<String, @Nullable Object> config = new LinkedHashMap<>();
        config.put("quant_method", "compressed-tensors");
        config.put("format", "pack-quantized");
        config.put("quantization_status", "compressed");
        config.put("config_groups", groups);
        config.put("ignore", ignore);
        config.put("kv_cache_scheme", null);
        return config;
    }

    private static Map<String, @Nullable Object> group(String target, MatrixFormat format) {
        Map<String, @Nullable Object> weights = new LinkedHashMap<>();
        weights.put("num_bits", format.bits());
        weights.put("type", "int");
        weights.put("symmetric", !format.asymmetric());
        weights.put("strategy", format.group() == MatrixFormat.ROW ? "channel" : "group");
        weights.put("group_size", format.group() == MatrixFormat.ROW ? null : format.group());
        weights.put("dynamic", false);
        weights.put("actorder", null);
        weights.put("block_structure", null);
        weights.put("observer", "minmax");
        weights.put("observer_kwargs", Map.of());
        Map<String, @Nullable Object> group = new LinkedHashMap<>();
        group.put("targets", List.of(target));
        group.put("weights", weights);
        group.put("input_activations", null);
        group.put("output_activations", null);
        return group;
    }
}
