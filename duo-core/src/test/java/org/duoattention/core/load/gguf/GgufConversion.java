package org.duoattention.core.load.gguf;

import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.core.load.Checkpoint;
import org.duoattention.core.load.CheckpointFiles;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.model.RopeConfig;
import org.duoattention.core.model.RopeScaling;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/** Writes checkpoints in Hugging Face layout as GGUF, following convert_hf_to_gguf.py of llama.cpp. */
public final class GgufConversion {
    private static final Map<DType, Integer> TYPES = Map.of(DType.F32, 0, DType.F16, 1, DType.BF16, 30);
    private static final Map<String, String> MODULES = Map.ofEntries(
            Map.entry("input_layernorm", "attn_norm"),
            Map.entry("self_attn.q_proj", "attn_q"),
            Map.entry("self_attn.k_proj", "attn_k"),
            Map.entry("self_attn.v_proj", "attn_v"),
            Map.entry("self_attn.o_proj", "attn_output"),
            Map.entry("post_attention_layernorm", "ffn_norm"),
            Map.entry("mlp.gate_proj", "ffn_gate"),
            Map.entry("mlp.up_proj", "ffn_up"),
            Map.entry("mlp.down_proj", "ffn_down"));

    private GgufConversion() {}

    /** Writes {@code target} from a directory; its tokenizer too, when there is a byte-level one. */
    public static Path write(Path directory, Path target) {
        GgufWriter writer = metadata(directory);
        if (Files.exists(directory.resolve("tokenizer.json"))) {
            tokenizer(directory, writer);
        }
        tensors(directory, writer);
        CheckpointFiles.write(target, writer.build());
        return target;
    }

    /** Writes {@code target} with its matrices quantised, without a tokenizer. */
    public static Path writeQuantized(Path directory, Path target, TestBlocks blocks) {
        GgufWriter writer = metadata(directory);
        tensors(directory, writer, Optional.of(blocks), false);
        CheckpointFiles.write(target, writer.build());
        return target;
    }

    /** Writes {@code target} in F32 with the values that its matrices have when they are quantised. */
    public static Path writeRounded(Path directory, Path target, TestBlocks blocks) {
        GgufWriter writer = metadata(directory);
        tensors(directory, writer, Optional.of(blocks), true);
        CheckpointFiles.write(target, writer.build());
        return target;
    }

    /** What a converter writes of config.json. */
    public static GgufWriter metadata(Path directory) {
        ModelConfig config = ModelConfig.read(directory);
        ModelShape shape = config.shape();
        String arch = architecture(config);
        return new GgufWriter()
                .string("general.architecture", arch)
                .string("general.name", "test")
                .uint32(arch + ".context_length", config.maxPositions())
                .uint32(arch + ".embedding_length", shape.hiddenSize())
                .uint32(arch + ".block_count", shape.layers())
                .uint32(arch + ".feed_forward_length", shape.intermediateSize())
                .uint32(arch + ".attention.head_count", shape.attentionHeads())
                .uint32(arch + ".attention.head_count_kv", shape.kvHeads())
                .uint32(arch + ".attention.key_length", shape.headDim())
                .uint32(arch + ".attention.value_length", shape.headDim())
                .uint32(arch + ".rope.dimension_count", shape.headDim())
                .float32(arch + ".attention.layer_norm_rms_epsilon", config.rmsNormEps())
                .float32(arch + ".rope.freq_base", config.rope().theta())
                .uint32(arch + ".vocab_size", shape.vocabSize())
                .uint32("tokenizer.ggml.bos_token_id", config.bosTokenId().orElse(0))
                .uint32("tokenizer.ggml.eos_token_id", config.eosTokenIds().get(0));
    }

    private static String architecture(ModelConfig config) {
        String type = config.family().modelType();
        return type.equals("mistral") ? "llama" : type;
    }

    private static void tokenizer(Path directory, GgufWriter writer) {
        JsonNode root = JsonMapper.shared().readTree(directory.resolve("tokenizer.json"));
        String[] tokens = new String[ModelConfig.read(directory).shape().vocabSize()];
        int[] types = new int[tokens.length];
        Arrays.fill(types, 1);
        root.get("model")
                .get("vocab")
                .properties()
                .forEach(entry -> tokens[entry.getValue().intValue()] = entry.getKey());
        for (JsonNode added : root.get("added_tokens")) {
            tokens[added.get("id").intValue()] = added.get("content").stringValue();
            types[added.get("id").intValue()] = 3;
        }
        List<String> merges = new ArrayList<>();
        root.get("model")
                .get("merges")
                .forEach(merge -> merges.add(
                        merge.isArray()
                                ? merge.get(0).stringValue() + " "
                                        + merge.get(1).stringValue()
                                : merge.stringValue()));
        writer.string("tokenizer.ggml.model", "gpt2")
                .string("tokenizer.ggml.pre", "llama-bpe")
                .strings("tokenizer.ggml.tokens", List.of(tokens))
                .integers("tokenizer.ggml.token_type", types)
                .strings("tokenizer.ggml.merges", merges);
    }

    /** Adds the tensors of a directory, and the divisors that stand for a llama3 rotation. */
    public static void tensors(Path directory, GgufWriter writer) {
        tensors(directory, writer, Optional.empty(), false);
    }

    private static void tensors(Path directory, GgufWriter writer, Optional<TestBlocks> blocks, boolean asValues) {
        ModelConfig config = ModelConfig.read(directory);
        try (Checkpoint checkpoint = Checkpoint.open(directory)) {
            for (String name : checkpoint.names()) {
                HostTensor tensor = checkpoint.find(name).orElseThrow();
                byte[] bytes = tensor.data().toArray(ValueLayout.JAVA_BYTE);
                int type = TYPES.get(tensor.spec().dtype());
                if (tensor.spec().rank() == 1) {
                    // As all converters do; llama.cpp takes vectors of no other type.
                    GgufWriter.Bytes floats = new GgufWriter.Bytes();
                    for (float value : floats(tensor)) {
                        floats.float32(value);
                    }
                    bytes = floats.array();
                    type = 0;
                } else if (blocks.isPresent()) {
                    float[] values = floats(tensor);
                    bytes = asValues
                            ? blocks.get().rounded(values)
                            : blocks.get().encode(values);
                    type = asValues ? 0 : blocks.get().type();
                }
                long[] shape = tensor.spec().shape().stream()
                        .mapToLong(Long::longValue)
                        .toArray();
                if (architecture(config).equals("llama") && name.matches(".*\\.[qk]_proj\\..*")) {
                    int heads = name.contains("q_proj")
                            ? config.shape().attentionHeads()
                            : config.shape().kvHeads();
                    bytes = interleave(bytes, heads, (int) (shape[0] / heads));
                }
                writer.tensor(rename(name), type, shape, bytes);
            }
        }
        if (config.rope().scaling() instanceof RopeScaling.Llama3 llama3) {
            float[] divisors = divisors(config.rope(), llama3, config.shape().headDim());
            GgufWriter.Bytes bytes = new GgufWriter.Bytes();
            for (float divisor : divisors) {
                bytes.float32(divisor);
            }
            writer.tensor("rope_freqs.weight", 0, new long[] {divisors.length}, bytes.array());
        }
    }

    private static float[] floats(HostTensor tensor) {
        float[] values = new float[(int) tensor.spec().elements()];
        for (int i = 0; i < values.length; i++) {
            values[i] = tensor.floatAt(i);
        }
        return values;
    }

    /** {@code reshape(heads, 2, dim / 2, ...).swapaxes(1, 2)}: read as [head][half][row], written as [head][row][half]. */
    private static byte[] interleave(byte[] bytes, int heads, int dim) {
        int rowBytes = bytes.length / (heads * dim);
        byte[] result = new byte[bytes.length];
        int to = 0;
        for (int head = 0; head < heads; head++) {
            for (int row = 0; row < dim / 2; row++) {
                for (int half = 0; half < 2; half++) {
                    int from = head * dim + half * (dim / 2) + row;
                    System.arraycopy(bytes, from * rowBytes, result, to++ * rowBytes, rowBytes);
                }
            }
        }
        return result;
    }

    private static float[] divisors(RopeConfig rope, RopeScaling.Llama3 scaling, int dim) {
        float[] divisors = new float[dim / 2];
        for (int i = 0; i < divisors.length; i++) {
            double frequency = Math.pow(rope.theta(), -2.0 * i / dim);
            double wavelength = 2 * Math.PI / frequency;
            double original = scaling.originalPositions();
            if (wavelength < original / scaling.highFreqFactor()) {
                divisors[i] = 1;
            } else if (wavelength > original / scaling.lowFreqFactor()) {
                divisors[i] = (float) scaling.factor();
            } else {
                double smooth = (original / wavelength - scaling.lowFreqFactor())
                        / (scaling.highFreqFactor() - scaling.lowFreqFactor());
                divisors[i] = (float) (1 / ((1 - smooth) / scaling.factor() + smooth));
            }
        }
        return divisors;
    }

    private static String rename(String name) {
        return switch (name) {
            case "model.embed_tokens.weight" -> "token_embd.weight";
            case "model.norm.weight" -> "output_norm.weight";
            case "lm_head.weight" -> "output.weight";
            default -> {
                String[] parts = name.split("\\.", 4);
                int dot = parts[3].lastIndexOf('.');
                yield "blk." + parts[2] + "." + MODULES.get(parts[3].substring(0, dot)) + parts[3].substring(dot);
            }
        };
    }
}
