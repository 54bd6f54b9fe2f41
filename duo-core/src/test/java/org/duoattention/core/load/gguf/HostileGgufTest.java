package org.duoattention.core.load.gguf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.fail;

import com.sun.management.ThreadMXBean;
import java.lang.foreign.Arena;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.HostWeight;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.core.DuoException;
import org.duoattention.core.load.CheckpointFiles;
import org.duoattention.core.load.WeightSource;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.model.RopeFrequencies;
import org.duoattention.core.template.ChatTemplate;
import org.duoattention.core.tokenizer.Tokenizer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Thousands of damaged GGUF files. Each one either loads and is consistent, or is refused with one line; nothing else is
 * thrown, and memory stays bounded.
 */
@Timeout(120)
class HostileGgufTest {
    private static final long MOST_BYTES_PER_FILE = 32L << 20;
    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    private static final long[] NUMBERS = {
        0,
        1,
        2,
        3,
        4,
        5,
        8,
        9,
        12,
        13,
        31,
        32,
        33,
        127,
        128,
        255,
        256,
        1000,
        65_535,
        65_536,
        1 << 20,
        1 << 24,
        (1 << 26) - 1,
        Integer.MAX_VALUE,
        1L << 31,
        (1L << 32) - 1,
        1L << 32,
        1L << 40,
        1L << 61,
        Long.MAX_VALUE,
        Long.MIN_VALUE,
        -1,
        -2,
        -32,
        0x7fc00000L,
        0x7f800000L,
        0xff800000L,
        0x7e00,
        0x7c00
    };

    @TempDir
    Path directory;

    private final Random random = new Random(20_261_121);
    private int loaded;
    private int refused;

    @Test
    void headersOfAByteLevelModel() {
        attack(byteLevel(), 5_000);
    }

    @Test
    void headersOfASentencePieceModel() {
        attack(sentencePiece(), 5_000);
    }

    @Test
    void partsOfASplit() {
        byte[] first = part(0, "a");
        byte[] second = part(1, "b");
        for (int i = 0; i < 1_500; i++) {
            boolean damageFirst = random.nextBoolean();
            CheckpointFiles.write(directory.resolve("m-00001-of-00002.gguf"), damageFirst ? damage(first) : first);
            CheckpointFiles.write(directory.resolve("m-00002-of-00002.gguf"), damageFirst ? second : damage(second));
            attempt(i, damageFirst ? first : second, () -> {
                try (Arena arena = Arena.ofShared()) {
                    Path file = directory.resolve("m-00002-of-00002.gguf");
                    GgufContent content = GgufContent.map(GgufParts.ofFile(file), arena);
                    assertThat(content.tensors()).hasSize(2);
                }
            });
        }
        assertThat(loaded).isGreaterThan(50);
        assertThat(refused).isGreaterThan(500);
    }

    private void attack(byte[] good, int mutations) {
        Path file = directory.resolve("m.gguf");
        CheckpointFiles.write(file, good);
        // The undamaged file is read to the end, so that damage to any part of it is met.
        assertThat(readAll(file)).isEqualTo(6);
        for (int i = 0; i < mutations; i++) {
            byte[] bytes = damage(good);
            CheckpointFiles.write(file, bytes);
            attempt(i, bytes, () -> readAll(file));
        }
        assertThat(loaded).as("files that loaded").isGreaterThan(mutations / 50);
        assertThat(refused).as("files that were refused").isGreaterThan(mutations / 10);
    }

    /** Reads every part of a model that opens; a part may be refused while others load. Returns how many did. */
    private static int readAll(Path file) {
        int parts = 0;
        try (GgufModel model = GgufModel.open(file)) {
            parts += part(() -> readConfig(model));
            parts += part(model::generationConfig);
            parts += part(() -> readTensors(model));
            parts += part(() -> readTokenizer(model));
            parts += part(() -> {
                Optional<ChatTemplate> template = model.chatTemplate();
                assertThat(template.isPresent()).isIn(true, false);
            });
            parts += part(() -> assertThat(model.name()).isEqualTo("m"));
        }
        return parts;
    }

    private static int part(Runnable reading) {
        try {
            reading.run();
            return 1;
        } catch (DuoException e) {
            assertOneLine(e);
            return 0;
        }
    }

    private static void readConfig(GgufModel model) {
        ModelConfig config = model.config();
        assertThat(config.contextLimit()).isPositive();
        assertThat(config.shape().queryWidth()).isPositive();
        assertThat(config.rmsNormEps()).isBetween(0.0, 1.0);
        assertThat(config.eosTokenIds())
                .allMatch(id -> id >= 0 && id < config.shape().vocabSize());
        RopeFrequencies frequencies =
                new RopeFrequencies(config.rope(), config.shape().headDim());
        assertThat(frequencies.at(1).inverseFrequency(0)).isFinite().isPositive();
    }

    private static void readTensors(GgufModel model) {
        WeightSource weights = model.weights();
        assertThat(weights.totalBytes()).isNotNegative();
        for (String name : weights.names()) {
            boolean vector = name.contains("norm") || name.endsWith(".bias");
            if (vector) {
                HostTensor tensor = weights.find(name).orElseThrow();
                tensor.floatAt(0);
                tensor.floatAt(tensor.spec().elements() - 1);
            }
        }
        int hidden = model.config().shape().hiddenSize();
        try (Arena arena = Arena.ofShared()) {
            HostWeight matrix = weights.matrix(
                    "model.layers.0.self_attn.q_proj.weight",
                    model.config().shape().queryWidth(),
                    hidden,
                    arena);
            if (matrix instanceof QuantizedMatrix quantized) {
                assertThat(quantized.valueAt(0, 0)).isFinite();
            }
        }
    }

    private static void readTokenizer(GgufModel model) {
        model.tokenizer().ifPresent(tokenizer -> {
            try (Tokenizer open = tokenizer) {
                int[] ids = open.encode("a ab \u00e9", true);
                assertThat(Arrays.stream(ids).allMatch(id -> id >= 0 && id < open.vocabSize()))
                        .isTrue();
                open.decode(ids, true);
            }
        });
    }

    /** One to three damages: a known number put anywhere, a byte, a cut, a slice left out or repeated. */
    private byte[] damage(byte[] good) {
        byte[] bytes = good.clone();
        for (int i = random.nextInt(3); i >= 0; i--) {
            int at = random.nextInt(bytes.length - 8);
            switch (random.nextInt(7)) {
                case 0 -> bytes[at] ^= (byte) (1 << random.nextInt(8));
                case 1 -> bytes[at] = (byte) random.nextInt(256);
                case 2 -> put(bytes, at, 8);
                case 3 -> put(bytes, at, 4);
                case 4 -> putAtLength(bytes);
                case 5 -> {
                    if (random.nextInt(4) == 0) {
                        bytes = Arrays.copyOf(bytes, Math.max(16, at));
                    }
                }
                default -> {
                    int length = Math.min(1 + random.nextInt(40), (bytes.length - at) / 2);
                    System.arraycopy(good, Math.min(at, good.length - length), bytes, at + length, length);
                }
            }
        }
        return bytes;
    }

    /** Replaces a number that looks like the length of a string, which most numbers of a header are. */
    private void putAtLength(byte[] bytes) {
        ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        List<Integer> places = new ArrayList<>();
        for (int i = 0; i < bytes.length - 8; i++) {
            long value = buffer.getLong(i);
            if (value > 0 && value < 200) {
                places.add(i);
            }
        }
        if (!places.isEmpty()) {
            put(bytes, places.get(random.nextInt(places.size())), 8);
        }
    }

    private void put(byte[] bytes, int at, int size) {
        ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        long value = NUMBERS[random.nextInt(NUMBERS.length)];
        if (size == 8) {
            buffer.putLong(at, value);
        } else {
            buffer.putInt(at, (int) value);
        }
    }

    private void attempt(int index, byte[] bytes, Runnable reading) {
        long before = THREADS.getCurrentThreadAllocatedBytes();
        try {
            reading.run();
            loaded++;
        } catch (DuoException e) {
            assertOneLine(e);
            refused++;
        } catch (Throwable t) {
            fail(
                    "mutation " + index + ": " + t + ", file "
                            + Base64.getEncoder().encodeToString(bytes),
                    t);
        }
        assertThat(THREADS.getCurrentThreadAllocatedBytes() - before)
                .as("bytes allocated for mutation %d", index)
                .isLessThan(MOST_BYTES_PER_FILE);
    }

    private static void assertOneLine(DuoException e) {
        assertThat(e.getMessage()).isNotBlank().hasSizeLessThan(1500);
        assertThat(e.getMessage().chars().filter(Character::isISOControl).count())
                .as("control characters in: %s", e.getMessage())
                .isZero();
    }

    private static byte[] part(int number, String tensor) {
        return new GgufWriter()
                .uint32("split.no", number)
                .uint32("split.count", 2)
                .uint32("split.tensors.count", 2)
                .tensor(tensor, 0, new long[] {4}, new byte[16])
                .build();
    }

    private static GgufWriter model() {
        GgufWriter writer = new GgufWriter()
                .string("general.architecture", "llama")
                .string("general.name", "hostile")
                .alignment(64)
                .uint32("llama.context_length", 128)
                .uint32("llama.embedding_length", 32)
                .uint32("llama.block_count", 1)
                .uint32("llama.feed_forward_length", 32)
                .uint32("llama.attention.head_count", 2)
                .uint32("llama.attention.head_count_kv", 1)
                .uint32("llama.rope.dimension_count", 16)
                .float32("llama.attention.layer_norm_rms_epsilon", 1e-5)
                .float32("llama.rope.freq_base", 10_000)
                .string("llama.rope.scaling.type", "yarn")
                .float32("llama.rope.scaling.factor", 4)
                .uint32("llama.rope.scaling.original_context_length", 32)
                .entry("nested", GgufWriter.ARRAY, nested())
                .string("tokenizer.chat_template", "{% for m in messages %}{{ m.content }}{% endfor %}");
        byte[] row = new byte[18];
        row[1] = 0x2c;
        byte[] blocks = new byte[18 * 32];
        for (int i = 0; i < 32; i++) {
            System.arraycopy(row, 0, blocks, i * 18, 18);
        }
        return writer.tensor("token_embd.weight", 1, new long[] {16, 32}, new byte[16 * 32 * 2])
                .tensor("output_norm.weight", 0, new long[] {32}, new byte[128])
                .tensor("blk.0.attn_norm.weight", 0, new long[] {32}, new byte[128])
                .tensor("blk.0.attn_q.weight", 2, new long[] {32, 32}, blocks)
                .tensor("blk.0.attn_q.bias", 0, new long[] {32}, new byte[128])
                .tensor("blk.0.attn_k.weight", 30, new long[] {16, 32}, new byte[16 * 32 * 2]);
    }

    private static GgufWriter.Bytes nested() {
        GgufWriter.Bytes bytes = new GgufWriter.Bytes().int32(GgufWriter.ARRAY).int64(2);
        for (int i = 0; i < 2; i++) {
            bytes.int32(GgufWriter.STRING).int64(2).string("x").string("yz");
        }
        return bytes;
    }

    private static byte[] byteLevel() {
        return model().string("tokenizer.ggml.model", "gpt2")
                .string("tokenizer.ggml.pre", "qwen2")
                .strings(
                        "tokenizer.ggml.tokens",
                        List.of("a", "b", "\u0120", "\u00c3", "\u00a9", "ab", "\u0120ab", "<s>"))
                .integers("tokenizer.ggml.token_type", 1, 1, 1, 1, 1, 1, 1, 3)
                .strings("tokenizer.ggml.merges", List.of("a b", "\u0120 ab"))
                .uint32("tokenizer.ggml.bos_token_id", 7)
                .uint32("tokenizer.ggml.eos_token_id", 7)
                .bool("tokenizer.ggml.add_bos_token", true)
                .build();
    }

    private static byte[] sentencePiece() {
        return model().string("tokenizer.ggml.model", "llama")
                .strings(
                        "tokenizer.ggml.tokens",
                        List.of("<unk>", "<s>", "</s>", "<0xC3>", "<0xA9>", "\u2581", "a", "b", "ab", "\u2581ab"))
                .integers("tokenizer.ggml.token_type", 2, 3, 3, 6, 6, 1, 1, 1, 1, 1)
                .floats("tokenizer.ggml.scores", 0, 0, 0, 0, 0, -3, -4, -5, -1, -2)
                .uint32("tokenizer.ggml.unknown_token_id", 0)
                .uint32("tokenizer.ggml.bos_token_id", 1)
                .uint32("tokenizer.ggml.eos_token_id", 2)
                .bool("tokenizer.ggml.add_space_prefix", true)
                .build();
    }
}
