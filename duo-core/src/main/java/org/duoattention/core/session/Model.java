package org.duoattention.core.session;

import java.nio.file.Path;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.DeviceMemoryException;
import org.duoattention.api.backend.Requirements;
import org.duoattention.api.model.ModelShape;
import org.duoattention.core.DuoException;
import org.duoattention.core.cache.HybridCache;
import org.duoattention.core.load.WeightSource;
import org.duoattention.core.model.Activations;
import org.duoattention.core.model.Decoder;
import org.duoattention.core.model.DecoderWeights;
import org.duoattention.core.model.GenerationConfig;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.model.RopeFrequencies;
import org.duoattention.core.prefill.StreamScheduler;
import org.duoattention.core.prefill.StreamScheduler.Kind;
import org.duoattention.core.source.ModelFingerprint;
import org.duoattention.core.source.ModelSource;
import org.duoattention.core.template.ChatTemplate;
import org.duoattention.core.tokenizer.Tokenizer;
import org.jspecify.annotations.Nullable;

/**
 * A model that is open on a device: its weights, its tokenizer if it has one, and the stream that its sessions share.
 *
 * <p>Safe to share between threads; sessions are not. Closing the model closes its sessions.
 */
public final class Model implements AutoCloseable {
    private final Duo duo;
    private final ModelSource source;
    private final ModelConfig config;
    private final RopeFrequencies rope;
    private final GenerationConfig generation;
    private final Optional<Tokenizer> tokenizer;
    private final Device device;
    private final DecoderWeights decoderWeights;
    private final Requirements requirements;
    private final Closer closer;
    private final StreamScheduler scheduler;
    private final Set<Session> sessions = new HashSet<>();
    /** Guarded by {@code this}; used by the stream's thread, which sees it through the scheduler's queue. */
    private @Nullable Activations activations;

    private volatile @Nullable Decoder decoder;
    private boolean closed;

    Model(
            Duo duo,
            ModelSource source,
            ModelConfig config,
            RopeFrequencies rope,
            GenerationConfig generation,
            Optional<Tokenizer> tokenizer,
            Device device,
            DecoderWeights weights,
            Requirements requirements,
            Closer closer) {
        this.duo = duo;
        this.source = source;
        this.config = config;
        this.rope = rope;
        this.generation = generation;
        this.tokenizer = tokenizer;
        this.device = device;
        this.decoderWeights = weights;
        this.requirements = requirements;
        this.closer = closer;
        this.scheduler = new StreamScheduler(device);
    }

    /** Opens a checkpoint directory or GGUF file with everything on the path and the best backend. */
    public static Model open(Path path) {
        return Duo.create().model(path).open();
    }

    /** The name of the checkpoint directory, or of the GGUF file without its ending. */
    public String name() {
        return requirements.model();
    }

    /** The path that was opened: a checkpoint directory or a GGUF file. */
    public Path path() {
        return source.path();
    }

    /** The directory that the model's files lie in. */
    public Path directory() {
        return source.directory();
    }

    /** The chat template, when the checkpoint has one. */
    public Optional<ChatTemplate> chatTemplate() {
        return source.chatTemplate();
    }

    /** What config.json, or the metadata of the file, says. */
    public ModelConfig config() {
        return config;
    }

    /** Where generation ends, and the sampling that is recommended. */
    public GenerationConfig generationConfig() {
        return generation;
    }

    /** The extents. */
    public ModelShape shape() {
        return config.shape();
    }

    /** The tokenizer, when the checkpoint has one. Owned by the model. */
    public Optional<Tokenizer> tokenizer() {
        return tokenizer;
    }

    /** The weights as they lie in the checkpoint. */
    public WeightSource weights() {
        return source.weights();
    }

    /** The weights on the device, for those who put a forward pass of their own together. Owned by the model. */
    public DecoderWeights decoderWeights() {
        return decoderWeights;
    }

    /** The rotations. */
    public RopeFrequencies rope() {
        return rope;
    }

    /** The device that the model runs on. Owned by the model. */
    public Device device() {
        return device;
    }

    /** Begins a session. */
    public SessionBuilder session() {
        return new SessionBuilder(new SessionTarget(duo, config, directory(), device, requirements, this::openSession));
    }

    /**
     * Closes the sessions, the stream, the device and the checkpoint; no effect the second time. Waits for work in
     * progress.
     *
     * @throws IllegalStateException when a progress listener of one of the sessions calls it
     */
    @Override
    public void close() {
        List<Session> open;
        synchronized (this) {
            if (closed) {
                return;
            }
            open = List.copyOf(sessions);
            if (open.stream().anyMatch(Session::isInUseByCaller)) {
                throw new IllegalStateException(
                        "a progress listener must not close the model; close the session or cancel");
            }
            closed = true;
        }
        Closer all = new Closer();
        all.add(closer);
        all.add(this::closeActivations);
        all.add(scheduler);
        open.forEach(all::add);
        all.close();
    }

    private synchronized void closeActivations() {
        if (activations != null) {
            activations.close();
            activations = null;
        }
    }

    // What sessions and their builders use

    StreamScheduler scheduler() {
        return scheduler;
    }

    Decoder decoder() {
        Decoder current = decoder;
        if (current == null) {
            throw new IllegalStateException("no session was opened");
        }
        return current;
    }

    Tokenizer requireTokenizer() {
        return tokenizer.orElseThrow(() -> new DuoException("The model " + name()
                + " has no tokenizer; give token ids instead of text, or add tokenizer.json to " + directory()));
    }

    boolean isEndToken(int id) {
        return generation.eosTokenIds().contains(id);
    }

    /** Refuses to take tokens back where the device cannot do it. */
    void requireRollback() {
        if (!device.capabilities().contains(Capability.ROLLBACK)) {
            throw new DuoException("Backend " + device.backendId() + " does not offer " + Capability.ROLLBACK.label()
                    + "; feed the tokens that are to stay to a new session, or choose another backend");
        }
    }

    /** Refuses to save or restore sessions where the device cannot do it. */
    void requireSnapshots() {
        if (!device.capabilities().contains(Capability.SNAPSHOT)) {
            throw new DuoException("Backend " + device.backendId() + " does not offer " + Capability.SNAPSHOT.label()
                    + "; choose another backend");
        }
    }

    /** What two sessions must have in common for one to go on with the other's cache. */
    Map<String, String> settings(SessionOptions options) {
        Map<String, String> settings = new LinkedHashMap<>();
        settings.put("model", ModelFingerprint.of(config, weights()));
        // Equal rotations have equal numbers here, in every process.
        settings.put("rope", Integer.toHexString(rope.at(1).hashCode()));
        settings.put("backend", device.backendId());
        settings.put("policy", options.policy());
        settings.put("heads", options.heads().toString());
        settings.put("sink", String.valueOf(options.sinks()));
        settings.put("recent", String.valueOf(options.recent()));
        settings.put("kv", options.kv().toString());
        settings.put("streamingKv", options.streamingKv().toString());
        settings.put("chunk", String.valueOf(options.chunk()));
        settings.put("prefillMode", options.prefillMode().toString());
        settings.put(SavedSession.MAX_CONTEXT, String.valueOf(options.maxContext()));
        settings.put("rollbackMargin", String.valueOf(options.rollbackMargin()));
        return settings;
    }

    synchronized Session openSession(SessionPlan plan) {
        if (closed) {
            throw new IllegalStateException("the model is closed");
        }
        int chunk = plan.options().chunk();
        boolean grow = activations == null || activations.maxChunk() < chunk;
        long needed = plan.kvBytes() + (grow ? plan.activationBytes() : LastLogits.bytes(device, shape()));
        long available = device.availableBytes();
        if (needed > available) {
            throw tooLarge(plan, needed, available);
        }
        if (plan.options().maxContext() > Session.MAX_TOKENS) {
            throw new DuoException("max-context is " + plan.options().maxContext() + "; a session holds at most "
                    + Session.MAX_TOKENS + " tokens");
        }
        Closer opened = new Closer();
        try {
            HybridCache cache = opened.add(HybridCache.allocate(device, plan.cache()));
            LastLogits logits = opened.add(new LastLogits(device, shape()));
            if (grow) {
                growActivations(chunk);
            }
            Session session = new Session(this, plan, cache, logits);
            sessions.add(session);
            return session;
        } catch (RuntimeException | Error e) {
            try {
                opened.close();
            } catch (RuntimeException second) {
                e.addSuppressed(second);
            }
            if (e instanceof DeviceMemoryException full) {
                throw tooLarge(plan, needed, full.availableBytes());
            }
            throw e;
        }
    }

    private DuoException tooLarge(SessionPlan plan, long needed, long available) {
        return new DuoException("A context of " + plan.options().maxContext() + " tokens with policy "
                + plan.options().policy() + " and kv " + plan.options().kv().label() + " needs " + needed + " bytes ("
                + plan.kvBytes() + " of cache), " + available + " are available on " + device.backendId()
                + "; ask for a shorter context, fewer retrieval heads or a smaller kv type");
    }

    /**
     * Replaces the scratch tensors on the stream's thread, where nothing else uses them meanwhile. When there is no
     * memory for the larger ones, the open sessions keep those they have.
     */
    private void growActivations(int chunk) {
        scheduler.run(Kind.DECODE, stream -> {
            Activations grown = new Activations(device, shape(), chunk);
            Activations old = activations;
            activations = grown;
            decoder = new Decoder(config, rope, decoderWeights, grown);
            if (old != null) {
                stream.synchronize();
                old.close();
            }
            return 0;
        });
    }

    synchronized void forget(Session session) {
        sessions.remove(session);
    }
}
