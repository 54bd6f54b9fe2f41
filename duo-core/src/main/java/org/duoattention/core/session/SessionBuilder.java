package org.duoattention.core.session;

import java.util.EnumSet;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.cache.CachePlan;
import org.duoattention.api.cache.KVCachePolicy;
import org.duoattention.api.cache.PlanContext;
import org.duoattention.api.cache.PlanInput;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.head.HeadMask;
import org.duoattention.api.head.HeadMaskRequest;
import org.duoattention.api.head.HeadMaskSource;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.core.DuoException;
import org.duoattention.core.cache.CacheSpec;
import org.jspecify.annotations.Nullable;

/**
 * Collects the settings of a session. Nothing is allocated before {@link #open}, and settings that the policy cannot
 * honour are refused there. For use by one thread.
 */
public final class SessionBuilder {
    /** Sink tokens of streaming heads unless told otherwise: upstream's value for evaluation. */
    public static final int DEFAULT_SINKS = 64;

    /** Recent tokens of streaming heads unless told otherwise: upstream's value for evaluation. */
    public static final int DEFAULT_RECENT = 256;

    /** Tokens per prefill chunk unless told otherwise. */
    public static final int DEFAULT_CHUNK = 512;

    /** Tokens that can be taken back after an eviction unless told otherwise. */
    public static final int DEFAULT_ROLLBACK_MARGIN = 32;

    private final SessionTarget model;
    private String policy = "full";
    private final Map<String, String> policyOptions = new HashMap<>();
    private @Nullable HeadMask heads;
    private @Nullable Integer sinks;
    private @Nullable Integer recent;
    private BlockFormat kv = BlockFormat.F16;
    private @Nullable BlockFormat streamingKv;
    private int chunk = DEFAULT_CHUNK;
    private PrefillMode prefillMode = PrefillMode.UPSTREAM;
    private @Nullable Long maxContext;
    private int rollbackMargin = DEFAULT_ROLLBACK_MARGIN;

    SessionBuilder(SessionTarget model) {
        this.model = model;
    }

    /** The cache policy by name; {@code full} unless told otherwise. */
    public SessionBuilder policy(String name) {
        this.policy = name;
        return this;
    }

    /** One of the policy's own options. */
    public SessionBuilder policyOption(String name, String value) {
        policyOptions.put(name, value);
        return this;
    }

    /** The retrieval heads. */
    public SessionBuilder heads(HeadMask mask) {
        this.heads = mask;
        return this;
    }

    /**
     * The retrieval heads from a mask source.
     *
     * @param source the source's name, for example {@code pattern}
     * @param options the source's options, for example {@code directory} and {@code sparsity}
     * @throws DuoException when there is no such source, or it refuses the options or the model
     */
    public SessionBuilder heads(String source, Map<String, String> options) {
        HeadMaskSource provider = model.duo().headMaskSources().require(source);
        HeadMask mask;
        try {
            mask = provider.headMask(new HeadMaskRequest(model.shape(), Optional.of(model.directory()), options));
        } catch (IllegalArgumentException e) {
            throw new DuoException("Head mask source " + source + ": " + e.getMessage(), e);
        }
        return heads(mask);
    }

    /** Sink tokens of streaming heads. */
    public SessionBuilder sinks(int tokens) {
        this.sinks = tokens;
        return this;
    }

    /** Recent tokens of streaming heads. */
    public SessionBuilder recent(int tokens) {
        this.recent = tokens;
        return this;
    }

    /** Storage format of keys and values; F16 unless told otherwise. */
    public SessionBuilder kv(BlockFormat format) {
        this.kv = format;
        return this;
    }

    /**
     * Storage format of the keys and values of streaming heads; that of {@link #kv} unless told otherwise. They are so few
     * that a wider type costs next to nothing.
     */
    public SessionBuilder streamingKv(BlockFormat format) {
        this.streamingKv = format;
        return this;
    }

    /** Tokens per prefill chunk. */
    public SessionBuilder chunk(int tokens) {
        this.chunk = tokens;
        return this;
    }

    /** What streaming heads see of their chunk. */
    public SessionBuilder prefillMode(PrefillMode mode) {
        this.prefillMode = mode;
        return this;
    }

    /** Longest context in tokens, prompt and answer together; the model's own limit unless told otherwise. */
    public SessionBuilder maxContext(long tokens) {
        this.maxContext = tokens;
        return this;
    }

    /** Tokens that streaming heads can take back after an eviction; costs them that many slots. */
    public SessionBuilder rollbackMargin(int tokens) {
        this.rollbackMargin = tokens;
        return this;
    }

    /**
     * Checks the settings and says what the session will take, without allocating.
     *
     * @throws DuoException when a setting is out of range, is not honoured by the policy, or needs something that the
     *     backend cannot do
     */
    public SessionPlan plan() {
        ModelShape shape = model.shape();
        KVCachePolicy provider = model.duo().policies().require(policy);
        refuseUnused(provider);
        long context = maxContext == null ? model.config().contextLimit() : maxContext;
        positive("max-context", context);
        positive("chunk", chunk);
        if (rollbackMargin < 0) {
            throw new DuoException("rollback-margin is " + rollbackMargin + "; it must be at least 0");
        }
        int sinkTokens = sinks == null ? (int) Math.min(DEFAULT_SINKS, context / 4) : sinks;
        int recentTokens = recent == null ? (int) Math.min(DEFAULT_RECENT, Math.max(1, context / 2)) : recent;
        checkWindow(provider, sinkTokens, recentTokens, context);
        HeadMask mask = heads == null ? HeadMask.all(shape) : heads;
        if (!mask.fits(shape)) {
            throw new DuoException("The head mask has " + mask.layers() + " layers x " + mask.kvHeads()
                    + " KV heads, the model " + model.name() + " has " + shape.layers() + " x " + shape.kvHeads()
                    + "; choose a mask made for this model");
        }
        model.config().checkContext(context);
        CachePlan plan;
        try {
            plan = provider.plan(
                    new PlanContext(shape, mask, sinkTokens, recentTokens, context, Map.copyOf(policyOptions)));
        } catch (IllegalArgumentException e) {
            throw new DuoException("Policy " + policy + ": " + e.getMessage(), e);
        }
        int sessionChunk = (int) Math.min(chunk, context);
        requireBackend(plan);
        BlockFormat streaming = streamingKv == null ? kv : streamingKv;
        CacheSpec cache = new CacheSpec(plan, kv, streaming, context, sessionChunk, rollbackMargin);
        SessionOptions options = new SessionOptions(
                policy,
                mask,
                sinkTokens,
                recentTokens,
                kv,
                streaming,
                sessionChunk,
                prefillMode,
                context,
                rollbackMargin);
        try {
            SessionPlan result =
                    new SessionPlan(options, cache, cache.report(model.device()), model.activationBytes(sessionChunk));
            long unused = Math.addExact(result.kvBytes(), result.activationBytes());
            return result;
        } catch (ArithmeticException | IllegalArgumentException e) {
            throw new DuoException(
                    "A context of " + context + " tokens takes more bytes than can be counted; ask for a shorter one",
                    e);
        }
    }

    /**
     * Allocates the cache.
     *
     * @throws DuoException as {@link #plan}, and when the cache does not fit in memory; nothing is allocated then
     */
    public Session open() {
        return model.openSession(plan());
    }

    private static void positive(String name, long value) {
        if (value < 1) {
            throw new DuoException(name + " is " + value + "; it must be at least 1");
        }
    }

    private void refuseUnused(KVCachePolicy provider) {
        Set<PlanInput> inputs = provider.inputs();
        if (!inputs.contains(PlanInput.WINDOW) && (sinks != null || recent != null)) {
            throw new DuoException("Policy " + policy + " does not use sink or recent tokens; leave them out");
        }
        if (!inputs.contains(PlanInput.WINDOW) && streamingKv != null) {
            throw new DuoException("Policy " + policy + " has no streaming heads; leave streaming-kv out");
        }
        if (!inputs.contains(PlanInput.HEADS) && heads != null) {
            throw new DuoException("Policy " + policy + " does not use retrieval heads; leave the heads out");
        }
        if (inputs.contains(PlanInput.HEADS) && heads == null) {
            throw new DuoException("Policy " + policy
                    + " needs to know the retrieval heads; give a head pattern, a mask, or all or none");
        }
        for (String option : policyOptions.keySet()) {
            if (!provider.options().contains(option)) {
                throw new DuoException("Policy " + policy + " has no option '" + option + "'; "
                        + (provider.options().isEmpty()
                                ? "it has none"
                                : "it has: " + String.join(", ", provider.options())));
            }
        }
    }

    private void checkWindow(KVCachePolicy provider, int sinkTokens, int recentTokens, long context) {
        if (sinkTokens < 0) {
            throw new DuoException("sink is " + sinkTokens + "; it must be at least 0");
        }
        positive("recent", recentTokens);
        if (provider.inputs().contains(PlanInput.WINDOW) && (long) sinkTokens + recentTokens > context) {
            throw new DuoException("sink " + sinkTokens + " + recent " + recentTokens
                    + " is larger than the context of " + context + " tokens; make them smaller, or use policy full");
        }
    }

    private void requireBackend(CachePlan plan) {
        boolean scores =
                plan.slabs().stream().anyMatch(slab -> slab.retention().scores().isPresent());
        boolean windows = plan.slabs().stream().anyMatch(slab -> slab.retention() instanceof Retention.SinkAndRecent);
        Set<Capability> needed = EnumSet.noneOf(Capability.class);
        if (scores) {
            needed.add(Capability.SCORES);
        }
        if (windows && prefillMode == PrefillMode.WINDOW) {
            needed.add(Capability.WINDOW_PREFILL);
        }
        boolean all = plan.slabs().stream().allMatch(slab -> slab.retention() instanceof Retention.SinkAndRecent);
        if (!all || streamingKv == null) {
            model.requireBackend(policy, kv, needed);
        }
        if (streamingKv != null) {
            model.requireBackend(policy, streamingKv, needed);
        }
    }
}
