package org.duoattention.core.session;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;

/** Writes a two-layer Llama of random F32 weights, by hand, so that core's tests need nothing from outside. */
final class TinyCheckpoint {
    static final int VOCABULARY = 64;
    static final int LAYERS = 2;
    static final int KV_HEADS = 2;
    private static final int HIDDEN = 32;
    private static final int HEADS = 4;
    private static final int HEAD_DIM = 8;
    private static final int FFN = 48;

    private TinyCheckpoint() {}

    static Path write(Path directory) {
        try {
            Files.writeString(directory.resolve("config.json"), """
                    {"model_type": "llama", "hidden_size": %d, "intermediate_size": %d, "num_hidden_layers": %d,
                     "num_attention_heads": %d, "num_key_value_heads": %d, "head_dim": %d, "vocab_size": %d,
                     "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "max_position_embeddings": 1024,
                     "hidden_act": "silu", "tie_word_embeddings": true, "torch_dtype": "float32", "eos_token_id": 2}
                    """.formatted(
                            HIDDEN, FFN, LAYERS, HEADS, KV_HEADS, HEAD_DIM, VOCABULARY));
            Map<String, int[]> shapes = new LinkedHashMap<>();
            shapes.put("model.embed_tokens.weight", new int[] {VOCABULARY, HIDDEN});
            for (int i = 0; i < LAYERS; i++) {
                String layer = "model.layers." + i + ".";
                shapes.put(layer + "input_layernorm.weight", new int[] {HIDDEN});
                shapes.put(layer + "self_attn.q_proj.weight", new int[] {HEADS * HEAD_DIM, HIDDEN});
                shapes.put(layer + "self_attn.k_proj.weight", new int[] {KV_HEADS * HEAD_DIM, HIDDEN});
                shapes.put(layer + "self_attn.v_proj.weight", new int[] {KV_HEADS * HEAD_DIM, HIDDEN});
                shapes.put(layer + "self_attn.o_proj.weight", new int[] {HIDDEN, HEADS * HEAD_DIM});
                shapes.put(layer + "post_attention_layernorm.weight", new int[] {HIDDEN});
                shapes.put(layer + "mlp.gate_proj.weight", new int[] {FFN, HIDDEN});
                shapes.put(layer + "mlp.up_proj.weight", new int[] {FFN, HIDDEN});
                shapes.put(layer + "mlp.down_proj.weight", new int[] {HIDDEN, FFN});
            }
            shapes.put("model.norm.weight", new int[] {HIDDEN});
            writeSafetensors(directory.resolve("model.safetensors"), shapes);
            return directory;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static void writeSafetensors(Path file, Map<String, int[]> shapes) throws IOException {
        StringBuilder header = new StringBuilder("{");
        int offset = 0;
        for (Map.Entry<String, int[]> entry : shapes.entrySet()) {
            int[] shape = entry.getValue();
            int bytes = 4 * shape[0] * (shape.length == 2 ? shape[1] : 1);
            header.append(header.length() == 1 ? "" : ",")
                    .append("\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%d,%d]}"
                            .formatted(
                                    entry.getKey(),
                                    shape.length == 2 ? shape[0] + "," + shape[1] : "" + shape[0],
                                    offset,
                                    offset + bytes));
            offset += bytes;
        }
        header.append("}");
        while (header.length() % 8 != 0) {
            header.append(' ');
        }
        byte[] json = header.toString().getBytes(StandardCharsets.US_ASCII);
        ByteBuffer data = ByteBuffer.allocate(8 + json.length + offset).order(ByteOrder.LITTLE_ENDIAN);
        data.putLong(json.length).put(json);
        Random random = new Random(7);
        for (Map.Entry<String, int[]> entry : shapes.entrySet()) {
            boolean norm = entry.getValue().length == 1;
            int elements = norm ? entry.getValue()[0] : entry.getValue()[0] * entry.getValue()[1];
            for (int i = 0; i < elements; i++) {
                data.putFloat((float) (norm ? 1 + 0.1 * random.nextGaussian() : 0.3 * random.nextGaussian()));
            }
        }
        Files.write(file, data.array());
    }
}
