package org.duoattention.core.load.gguf;

import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** From the tensor names of the format (gguf-py/gguf/constants.py in ggml-org/llama.cpp) to those of Hugging Face. */
final class TensorNames {
    /** Divisors of the rotation's frequencies; no weight of the forward pass. */
    static final String ROPE_DIVISORS = "rope_freqs.weight";

    private static final Pattern OUTER = Pattern.compile("([a-z_]+)\\.(weight)");
    private static final Pattern LAYER = Pattern.compile("blk\\.(0|[1-9]\\d{0,4})\\.([a-z_]+)\\.(weight|bias)");

    private static final Map<String, String> OUTER_NAMES = Map.of(
            "token_embd", "model.embed_tokens",
            "output_norm", "model.norm",
            "output", "lm_head");

    private static final Map<String, String> LAYER_NAMES = Map.ofEntries(
            Map.entry("attn_norm", "input_layernorm"),
            Map.entry("attn_q", "self_attn.q_proj"),
            Map.entry("attn_k", "self_attn.k_proj"),
            Map.entry("attn_v", "self_attn.v_proj"),
            Map.entry("attn_output", "self_attn.o_proj"),
            Map.entry("attn_q_norm", "self_attn.q_norm"),
            Map.entry("attn_k_norm", "self_attn.k_norm"),
            Map.entry("ffn_norm", "post_attention_layernorm"),
            Map.entry("ffn_gate", "mlp.gate_proj"),
            Map.entry("ffn_up", "mlp.up_proj"),
            Map.entry("ffn_down", "mlp.down_proj"));

    private TensorNames() {}

    /** The Hugging Face name; empty for a tensor that the forward pass does not know. */
    static Optional<String> toHuggingFace(String name) {
        Matcher outer = OUTER.matcher(name);
        if (outer.matches()) {
            return Optional.ofNullable(OUTER_NAMES.get(outer.group(1))).map(known -> known + "." + outer.group(2));
        }
        Matcher layer = LAYER.matcher(name);
        return layer.matches()
                ? Optional.ofNullable(LAYER_NAMES.get(layer.group(2)))
                        .map(known -> "model.layers." + layer.group(1) + "." + known + "." + layer.group(3))
                : Optional.empty();
    }

    /** Whether a tensor holds nothing that is needed: old converters wrote the rotation's table out. */
    static boolean isRedundant(String name) {
        return name.endsWith(".attn_rot_embd.weight") || name.endsWith(".attn_rot_embd");
    }
}
