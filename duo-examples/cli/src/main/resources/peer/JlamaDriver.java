import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.github.tjake.jlama.math.ActivationFunction;
import com.github.tjake.jlama.model.DistributedContext;
import com.github.tjake.jlama.model.llama.LlamaModel;
import com.github.tjake.jlama.safetensors.Config;
import com.github.tjake.jlama.safetensors.DType;
import com.github.tjake.jlama.safetensors.TensorInfo;
import com.github.tjake.jlama.safetensors.WeightLoader;
import com.github.tjake.jlama.tensor.AbstractTensor;
import com.github.tjake.jlama.tensor.BFloat16BufferTensor;
import com.github.tjake.jlama.tensor.FloatBufferTensor;
import com.github.tjake.jlama.tensor.KvBufferCache;
import com.github.tjake.jlama.tensor.Q4ByteBufferTensor;
import com.github.tjake.jlama.tensor.TensorShape;
import com.github.tjake.jlama.tensor.operations.TensorOperationsProvider;
import com.github.tjake.jlama.util.PhysicalCoreExecutor;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.UUID;

/**
 * Drives Jlama on a shape with random weights that it makes in memory. One JSON request per line on standard input, one
 * answer per line, after "@@", on standard output; ends with its input. Compiled when it is launched
 * ({@code java -cp 'lib/*' JlamaDriver.java SHAPE}), so that the product depends on no class of Jlama.
 *
 * <p>Requests: {op: "prefill", from, tokens} -> {seconds}; {op: "decode", depth, tokens} -> {seconds: [...]};
 * {op: "fill", from, depth} -> {}, which writes made-up keys and values into Jlama's own cache. A token is what Jlama's
 * generator does for one: forward pass, then the most likely token.
 */
final class JlamaDriver {
    private static final String PREFIX = "@@";
    private static final ObjectMapper JSON = new ObjectMapper();

    private final SplittableRandom random = new SplittableRandom(1);
    private final Config config;
    private final LlamaModel model;
    private final KvBufferCache.KvBuffer cache;

    private JlamaDriver(JsonNode shape) {
        config = new Config(
                shape.get("context").asInt(),
                shape.get("hidden").asInt(),
                shape.get("intermediate").asInt(),
                shape.get("heads").asInt(),
                shape.get("kvHeads").asInt(),
                shape.get("layers").asInt(),
                (float) shape.get("normEps").asDouble(),
                shape.get("vocabulary").asInt(),
                0,
                List.of(0),
                ActivationFunction.Type.SILU,
                shape.get("ropeTheta").asDouble(),
                1.0,
                shape.get("headDim").asInt(),
                null,
                null);
        DType weights = DType.valueOf(shape.get("weights").asText());
        // The defaults of Jlama's own command line: activations in F32, rounded to 8 bits for products with 4-bit weights.
        model = new LlamaModel(
                config, new RandomWeights(config, weights, shape.get("tied").asBoolean()), null, DType.F32, DType.I8,
                Optional.empty());
        cache = new KvBufferCache(model).getKvBuffer(UUID.randomUUID());
    }

    public static void main(String[] args) throws Exception {
        JsonNode shape = JSON.readTree(args[0]);
        PhysicalCoreExecutor.overrideThreadCount(shape.get("threads").asInt());
        JlamaDriver driver = new JlamaDriver(shape);
        answer(JSON.createObjectNode()
                .put("ready", true)
                .put("operations", TensorOperationsProvider.get().name()));
        try (BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                ObjectNode result = JSON.createObjectNode();
                try {
                    driver.perform(JSON.readTree(line), result);
                } catch (RuntimeException | Error e) {
                    result.put("error", e.toString());
                }
                answer(result);
            }
        }
        System.exit(0);
    }

    private static void answer(ObjectNode result) {
        System.out.println(PREFIX + result);
    }

    private void perform(JsonNode request, ObjectNode result) {
        int tokens = request.path("tokens").asInt();
        switch (request.get("op").asText()) {
            case "prefill" -> result.put("seconds", prefill(request.get("from").asInt(), tokens));
            case "decode" -> decode(request.get("depth").asInt(), tokens, result.putArray("seconds"));
            case "fill" -> fill(request.get("from").asInt(), request.get("depth").asInt());
            default -> throw new IllegalArgumentException("unknown request " + request);
        }
    }

    private double prefill(int from, int tokens) {
        int[] ids = random.ints(tokens, 0, config.vocabularySize).toArray();
        long start = System.nanoTime();
        try (AbstractTensor logits = model.makeDenseTensor(config.vocabularySize)) {
            AbstractTensor last = model.batchForward(ids, from, cache);
            model.sample(last.slice(last.shape().first() - 1), 0, 0, logits);
            last.close();
        }
        return (System.nanoTime() - start) * 1e-9;
    }

    private void decode(int depth, int tokens, ArrayNode seconds) {
        int next = random.nextInt(config.vocabularySize);
        try (AbstractTensor logits = model.makeDenseTensor(config.vocabularySize)) {
            for (int i = 0; i < tokens; i++) {
                long start = System.nanoTime();
                try (AbstractTensor output = model.forward(next, depth + i, cache, Optional.empty())) {
                    next = model.sample(output, 0, 0, logits);
                }
                seconds.add((System.nanoTime() - start) * 1e-9);
            }
        }
    }

    private void fill(int from, int depth) {
        for (int layer = 0; layer < config.numberOfLayers; layer++) {
            for (int position = from; position < depth; position++) {
                fill(cache.getKeyTensorForPosition(layer, position));
                fill(cache.getValTensorForPosition(layer, position));
            }
        }
    }

    private void fill(AbstractTensor row) {
        for (int i = 0; i < config.kvLength; i++) {
            row.set((float) random.nextDouble() - 0.5f, 0, i);
        }
    }

    /** Weights as Jlama would read them from a checkpoint that it has quantised: all matrices in one format, norms in F32. */
    private static final class RandomWeights implements WeightLoader {
        private static final float SCALE = 0.004f;
        private static final int BLOCK = 32;

        private final SplittableRandom random = new SplittableRandom(2);
        private final Config config;
        private final DType type;
        private final boolean tied;

        RandomWeights(Config config, DType type, boolean tied) {
            this.config = config;
            this.type = type;
            this.tied = tied;
        }

        @Override
        public Map<String, String> metadata() {
            return Map.of();
        }

        @Override
        public Map<String, TensorInfo> tensorInfoMap() {
            Map<String, TensorInfo> names = new HashMap<>();
            if (!tied) {
                names.put("lm_head.weight", null);
            }
            return names;
        }

        @Override
        public DType getModelDType() {
            return type;
        }

        @Override
        public AbstractTensor load(String name, DistributedContext context, boolean sparseRows, boolean sparseColumns) {
            if (name.contains("norm")) {
                FloatBufferTensor ones = new FloatBufferTensor(1, config.embeddingLength);
                for (int i = 0; i < config.embeddingLength; i++) {
                    ones.set(1, 0, i);
                }
                return ones;
            }
            String matrix = name.replaceAll("\\.weight$", "").replaceAll(".*\\.", "");
            return switch (matrix) {
                case "q_proj" -> matrix(config.attentionLength, config.embeddingLength);
                case "k_proj", "v_proj" -> matrix(config.kvLength, config.embeddingLength);
                case "o_proj" -> matrix(config.embeddingLength, config.attentionLength);
                case "gate_proj", "up_proj" -> matrix(config.hiddenLength, config.embeddingLength);
                case "down_proj" -> matrix(config.embeddingLength, config.hiddenLength);
                case "embed_tokens", "lm_head" -> matrix(config.vocabularySize, config.embeddingLength);
                default -> throw new IllegalArgumentException("Jlama asks for " + name);
            };
        }

        private synchronized AbstractTensor matrix(int rows, int columns) {
            TensorShape shape = TensorShape.of(rows, columns);
            int elements = Math.multiplyExact(rows, columns);
            ByteBuffer data = bytes(type == DType.Q4 ? elements / 2 : 2L * elements);
            if (type == DType.BF16) {
                for (int i = 0; i < elements; i++) {
                    float value = SCALE * (random.nextInt(16) - 7.5f);
                    data.putShort(2 * i, (short) (Float.floatToRawIntBits(value) >> 16));
                }
                return new BFloat16BufferTensor("random", data.asShortBuffer(), shape, true);
            }
            for (int i = 0; i < elements / 2; i += Long.BYTES) {
                data.putLong(i, random.nextLong());
            }
            ByteBuffer scales = bytes((long) elements / BLOCK * Float.BYTES);
            for (int i = 0; i < elements / BLOCK; i++) {
                scales.putFloat(i * Float.BYTES, SCALE);
            }
            FloatBufferTensor blocks =
                    new FloatBufferTensor(scales.asFloatBuffer(), TensorShape.of(rows, columns / BLOCK), true);
            return new Q4ByteBufferTensor("random", data, blocks, shape, true);
        }

        /** Aligned as Jlama's own tensors are. */
        private static ByteBuffer bytes(long count) {
            int size = Math.toIntExact(count);
            ByteBuffer room = ByteBuffer.allocateDirect(size + 64).alignedSlice(64);
            return room.slice(0, size).order(ByteOrder.LITTLE_ENDIAN);
        }

        @Override
        public void close() {}
    }
}
