package org.duoattention.examples.cli.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.core.DuoException;
import org.duoattention.core.cache.HybridCache;
import org.duoattention.core.model.Activations;
import org.duoattention.core.model.Decoder;
import org.duoattention.core.model.DecoderWeights;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.model.RopeFrequencies;
import org.duoattention.core.session.Planner;
import org.duoattention.core.session.SessionPlan;
import org.duoattention.examples.cli.synthetic.RandomWeights;
import org.duoattention.examples.cli.synthetic.WeightFormat;

/**
 * This library on a shape: random weights on the planner's device, and the decoder that sessions use. Shared by the
 * contenders of all policies; used by the thread that made it. Owns everything but the planner.
 */
public final class OwnEngine implements AutoCloseable {
    private final ArrayDeque<AutoCloseable> owned = new ArrayDeque<>();
    private final ModelConfig config;
    private final Device device;
    private final WeightFormat format;
    private final ComputeStream stream;
    private final Decoder decoder;
    private final Tensor logits;
    private final MemorySegment likeliest;
    private final MemorySegment likeliestLogit;
    private final Tensor keys;
    private final Tensor values;
    private final Random random = new Random(1);
    private final int chunk;

    /**
     * Makes the weights.
     *
     * @param chunk most tokens per chunk
     * @throws org.duoattention.api.backend.DeviceMemoryException when it does not fit in memory; see {@link #bytes}
     */
    public OwnEngine(Planner planner, WeightFormat format, int chunk) {
        this.config = planner.config();
        this.device = planner.device();
        this.format = format;
        this.chunk = chunk;
        ModelShape shape = config.shape();
        try {
            stream = own(device.openStream());
            RandomWeights source = own(new RandomWeights(config, format));
            DecoderWeights weights = own(new DecoderWeights(device, source, config));
            Activations scratch = own(new Activations(device, shape, chunk));
            RopeFrequencies rope = new RopeFrequencies(config.rope(), shape.headDim());
            decoder = new Decoder(config, rope, weights, scratch);
            keys = own(device.allocate(TensorSpec.of(DType.F32, chunk, shape.kvWidth())));
            values = own(device.allocate(TensorSpec.of(DType.F32, chunk, shape.kvWidth())));
            Arena arena = own(Arena.ofShared());
            logits = own(device.allocate(TensorSpec.of(DType.F32, 1, shape.vocabSize())));
            likeliest = arena.allocate(ValueLayout.JAVA_INT);
            likeliestLogit = arena.allocate(ValueLayout.JAVA_FLOAT);
            upload(keys);
            upload(values);
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    /** Bytes that an engine takes: weights, activations, and the keys and values that caches are filled with. */
    public static long bytes(Planner planner, WeightFormat format, int chunk) {
        ModelConfig config = planner.config();
        Device device = planner.device();
        long filling =
                2 * device.bytes(TensorSpec.of(DType.F32, chunk, config.shape().kvWidth()));
        long row = device.bytes(TensorSpec.of(DType.F32, 1, config.shape().vocabSize()));
        long working = Math.addExact(filling + row, Activations.bytes(device, config.shape(), chunk));
        return Math.addExact(working, format.bytes(device, config));
    }

    private <T extends AutoCloseable> T own(T resource) {
        owned.push(resource);
        return resource;
    }

    private void upload(Tensor tensor) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment host = arena.allocate(tensor.spec().byteSize(), Float.BYTES);
            for (long i = 0; i < tensor.spec().elements(); i++) {
                host.setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
            }
            stream.upload(host, tensor);
            stream.synchronize();
        }
    }

    ModelConfig config() {
        return config;
    }

    WeightFormat format() {
        return format;
    }

    long weightBytes() {
        return format.bytes(device, config);
    }

    int chunk() {
        return chunk;
    }

    /**
     * An empty cache.
     *
     * @throws DuoException when it does not fit
     */
    HybridCache allocate(SessionPlan plan) {
        if (plan.kvBytes() > device.availableBytes()) {
            throw new DuoException("A cache for " + plan.options().maxContext() + " tokens with policy "
                    + plan.options().policy() + " and kv " + plan.options().kv().label() + " takes " + plan.kvBytes()
                    + " bytes, " + device.availableBytes() + " are available; choose smaller --depths, fewer"
                    + " --policies or a smaller --kv");
        }
        return HybridCache.allocate(device, plan.cache());
    }

    /** Appends made-up keys and values up to a depth. */
    void fill(HybridCache cache, int depth) {
        cache.reserve(Math.max(0, depth - cache.length()));
        while (cache.length() < depth) {
            int tokens = (int) Math.min(cache.spec().maxChunk(), depth - cache.length());
            Tensor k = keys.rows(0, tokens);
            Tensor v = values.rows(0, tokens);
            for (int layer = 0; layer < config.shape().layers(); layer++) {
                cache.append(stream, layer, k, v);
            }
            stream.synchronize();
        }
    }

    /** Feeds random tokens and chooses one to come next, as greedy decoding does; returns the seconds. */
    double feed(HybridCache cache, int tokens) {
        int[] ids = random.ints(tokens, 0, config.shape().vocabSize()).toArray();
        long start = System.nanoTime();
        decoder.feed(stream, ids, cache, PrefillMode.UPSTREAM);
        decoder.logits(stream, tokens - 1, logits);
        stream.topK(logits, 1, likeliest, likeliestLogit);
        stream.synchronize();
        return (System.nanoTime() - start) * 1e-9;
    }

    void truncate(HybridCache cache, int depth) {
        cache.truncate(stream, depth);
        stream.synchronize();
    }

    @Override
    public void close() {
        List<Exception> failures = new ArrayList<>();
        while (!owned.isEmpty()) {
            try {
                owned.pop().close();
            } catch (Exception e) {
                failures.add(e);
            }
        }
        if (!failures.isEmpty()) {
            throw new IllegalStateException(failures.getFirst());
        }
    }
}
