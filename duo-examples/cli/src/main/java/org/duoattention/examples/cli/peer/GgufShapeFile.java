package org.duoattention.examples.cli.peer;

import java.io.BufferedOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.duoattention.api.model.ModelShape;
import org.duoattention.core.DuoException;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.model.ModelFamily;
import org.duoattention.core.model.ModelTensors;

/**
 * A GGUF file (version 3) of a shape with random weights, for engines that read nothing else. Matrices are in one format,
 * norms are ones in F32; the vocabulary is made up. Written in pieces, so that the file's size costs no memory.
 */
final class GgufShapeFile {
    private static final int VERSION = 3;
    private static final int ALIGNMENT = 32;
    private static final int U32 = 4;
    private static final int I32 = 5;
    private static final int F32 = 6;
    private static final int STRING = 8;
    private static final int ARRAY = 9;
    private static final int F32_TENSOR = 0;
    private static final int BLOCKS_PER_PIECE = 1 << 15;
    private static final int NORMAL_TOKEN = 1;
    private static final int UNKNOWN_TOKEN = 2;
    private static final int CONTROL_TOKEN = 3;
    private static final int BYTE_TOKEN = 6;
    private static final int FIRST_BYTE = 3;
    private static final int FIRST_WORD = FIRST_BYTE + 256;

    private final ModelConfig config;
    private final GgmlType type;
    private final List<ModelTensors.Entry> tensors;

    /**
     * A file to be written.
     *
     * @throws DuoException when the shape is of no model that the format's readers know by these tensors
     */
    GgufShapeFile(ModelConfig config, GgmlType type) {
        this.config = config;
        this.type = type;
        this.tensors = ModelTensors.of(config);
        if (config.family() != ModelFamily.LLAMA || config.queryKeyValueBias() || config.mlpBias()) {
            throw new DuoException("--peer llama.cpp is for shapes of model_type llama without biases; " + config.file()
                    + " is another one");
        }
        if (config.shape().vocabSize() <= FIRST_WORD) {
            throw new DuoException("--peer llama.cpp needs a vocabulary of more than " + FIRST_WORD + " tokens; "
                    + config.file() + " has " + config.shape().vocabSize());
        }
        for (ModelTensors.Entry entry : tensors) {
            if (entry.isMatrix() && entry.shape().get(1) % type.elements() != 0) {
                throw new DuoException("--peer llama.cpp: blocks of " + type.elements() + " do not divide the "
                        + entry.shape().get(1) + " columns of " + entry.name() + "; use --weights f16");
            }
        }
    }

    /** Bytes of all tensors. */
    long tensorBytes() {
        return tensors.stream().mapToLong(this::bytes).sum();
    }

    private long bytes(ModelTensors.Entry entry) {
        return entry.isMatrix() ? type.bytes(entry.elements()) : Float.BYTES * entry.elements();
    }

    /** Writes it. */
    void write(Path file) throws IOException {
        try (OutputStream out = new BufferedOutputStream(Files.newOutputStream(file), 1 << 20)) {
            byte[] header = header();
            out.write(header);
            pad(out, header.length);
            SplittableRandom random = new SplittableRandom(1);
            for (ModelTensors.Entry entry : tensors) {
                if (entry.isMatrix()) {
                    writeBlocks(out, entry.elements() / type.elements(), random);
                } else {
                    byte[] ones = new byte[(int) bytes(entry)];
                    ByteBuffer buffer = ByteBuffer.wrap(ones).order(ByteOrder.LITTLE_ENDIAN);
                    while (buffer.hasRemaining()) {
                        buffer.putFloat(1);
                    }
                    out.write(ones);
                }
                pad(out, bytes(entry));
            }
        }
    }

    private void writeBlocks(OutputStream out, long blocks, SplittableRandom random) throws IOException {
        byte[] piece = new byte[BLOCKS_PER_PIECE * type.blockBytes()];
        for (long at = 0; at < blocks; at += BLOCKS_PER_PIECE) {
            random.nextBytes(piece);
            int count = (int) Math.min(BLOCKS_PER_PIECE, blocks - at);
            for (int i = 0; i < count; i++) {
                type.tame(piece, i * type.blockBytes());
            }
            out.write(piece, 0, count * type.blockBytes());
        }
    }

    private static void pad(OutputStream out, long written) throws IOException {
        out.write(new byte[(int) (-written & ALIGNMENT - 1)]);
    }

    private byte[] header() throws IOException {
        ModelShape shape = config.shape();
        List<byte[]> pairs = new ArrayList<>();
        pairs.add(pair("general.architecture", STRING, string("llama")));
        pairs.add(pair("general.name", STRING, string("random")));
        pairs.add(pair("general.alignment", U32, number(ALIGNMENT)));
        pairs.add(pair("llama.block_count", U32, number(shape.layers())));
        pairs.add(pair("llama.context_length", U32, number(1 << 20)));
        pairs.add(pair("llama.embedding_length", U32, number(shape.hiddenSize())));
        pairs.add(pair("llama.feed_forward_length", U32, number(shape.intermediateSize())));
        pairs.add(pair("llama.attention.head_count", U32, number(shape.attentionHeads())));
        pairs.add(pair("llama.attention.head_count_kv", U32, number(shape.kvHeads())));
        pairs.add(pair("llama.attention.key_length", U32, number(shape.headDim())));
        pairs.add(pair("llama.attention.value_length", U32, number(shape.headDim())));
        pairs.add(pair("llama.rope.dimension_count", U32, number(shape.headDim())));
        pairs.add(pair("llama.vocab_size", U32, number(shape.vocabSize())));
        pairs.add(pair("llama.rope.freq_base", F32, number(Float.floatToIntBits((float)
                config.rope().theta()))));
        pairs.add(pair("llama.attention.layer_norm_rms_epsilon", F32, number(Float.floatToIntBits((float)
                config.rmsNormEps()))));
        pairs.addAll(vocabulary(shape.vocabSize()));
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.writeBytes("GGUF".getBytes(StandardCharsets.US_ASCII));
        out.writeBytes(number(VERSION));
        out.writeBytes(longNumber(tensors.size()));
        out.writeBytes(longNumber(pairs.size()));
        pairs.forEach(out::writeBytes);
        long offset = 0;
        for (ModelTensors.Entry entry : tensors) {
            out.writeBytes(string(name(entry.name())));
            out.writeBytes(number(entry.shape().size()));
            for (long extent : entry.shape().reversed()) {
                out.writeBytes(longNumber(extent));
            }
            out.writeBytes(number(entry.isMatrix() ? type.code() : F32_TENSOR));
            out.writeBytes(longNumber(offset));
            offset += bytes(entry) + (-bytes(entry) & ALIGNMENT - 1);
        }
        return out.toByteArray();
    }

    /** Made-up words of a vocabulary in the manner of SentencePiece, after its control and byte tokens. */
    private static List<byte[]> vocabulary(int size) {
        ByteArrayOutputStream words = array(STRING, size);
        ByteArrayOutputStream scores = array(F32, size);
        ByteArrayOutputStream types = array(I32, size);
        for (int id = 0; id < size; id++) {
            boolean oneByte = id >= FIRST_BYTE && id < FIRST_WORD;
            String word = switch (id) {
                case 0 -> "<unk>";
                case 1 -> "<s>";
                case 2 -> "</s>";
                default -> oneByte ? String.format("<0x%02X>", id - FIRST_BYTE) : "w" + id;
            };
            words.writeBytes(string(word));
            scores.writeBytes(number(Float.floatToIntBits(-id)));
            types.writeBytes(number(
                    id == 0 ? UNKNOWN_TOKEN : id < FIRST_BYTE ? CONTROL_TOKEN : oneByte ? BYTE_TOKEN : NORMAL_TOKEN));
        }
        return List.of(
                pair("tokenizer.ggml.model", STRING, string("llama")),
                pair("tokenizer.ggml.tokens", ARRAY, words.toByteArray()),
                pair("tokenizer.ggml.scores", ARRAY, scores.toByteArray()),
                pair("tokenizer.ggml.token_type", ARRAY, types.toByteArray()),
                pair("tokenizer.ggml.unknown_token_id", U32, number(0)),
                pair("tokenizer.ggml.bos_token_id", U32, number(1)),
                pair("tokenizer.ggml.eos_token_id", U32, number(2)));
    }

    private static String name(String name) {
        return name.replace("model.embed_tokens", "token_embd")
                .replace("model.norm", "output_norm")
                .replace("lm_head", "output")
                .replace("model.layers.", "blk.")
                .replace("input_layernorm", "attn_norm")
                .replace("post_attention_layernorm", "ffn_norm")
                .replace("self_attn.o_proj", "attn_output")
                .replace("self_attn.", "attn_")
                .replace("mlp.", "ffn_")
                .replace("_proj", "");
    }

    private static ByteArrayOutputStream array(int type, int size) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.writeBytes(number(type));
        out.writeBytes(longNumber(size));
        return out;
    }

    private static byte[] pair(String key, int type, byte[] value) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.writeBytes(string(key));
        out.writeBytes(number(type));
        out.writeBytes(value);
        return out.toByteArray();
    }

    private static byte[] string(String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        return ByteBuffer.allocate(Long.BYTES + bytes.length)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(bytes.length)
                .put(bytes)
                .array();
    }

    private static byte[] number(int value) {
        return ByteBuffer.allocate(Integer.BYTES)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putInt(value)
                .array();
    }

    private static byte[] longNumber(long value) {
        return ByteBuffer.allocate(Long.BYTES)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(value)
                .array();
    }
}
