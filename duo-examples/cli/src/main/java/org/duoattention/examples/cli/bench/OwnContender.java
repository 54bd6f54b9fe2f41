package org.duoattention.examples.cli.bench;

import java.util.ArrayList;
import java.util.List;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.cache.SlabPlan;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.core.cache.HybridCache;
import org.duoattention.core.cache.KvType;
import org.duoattention.core.prefill.ChunkPlan;
import org.duoattention.core.session.SessionBuilder;
import org.duoattention.core.session.SessionPlan;
import org.jspecify.annotations.Nullable;

/** This library under one cache policy, with one storage of keys and values. Caches are made when they are needed and belong to the contender. */
public final class OwnContender implements Contender {
    /** What its rows call the engine. */
    public static final String ENGINE = "duo";

    private static final int WARM_UP_STEPS = 32;
    private static final int WARM_UP_ROWS = 16;
    private static final long WARM_UP_NANOS = 10_000_000_000L;
    /** A row long enough that every group size divides it. */
    private static final long ROW = 1 << 14;

    private final OwnEngine engine;
    private final SessionBuilder sessions;
    private final long least;
    private final int longest;
    private final int undo;
    private final Identity identity;
    private final WorkModel model;
    private final long weightBytes;
    private @Nullable HybridCache cache;

    /**
     * A contender.
     *
     * @param sessions the settings; the longest context and the rollback margin are set here
     * @param least shortest context that the settings allow: a window that was asked for must fit
     * @param longest deepest decode
     * @param tokens most tokens that are decoded there
     */
    public OwnContender(OwnEngine engine, SessionBuilder sessions, long least, int longest, int tokens) {
        this.engine = engine;
        this.sessions = sessions;
        this.least = least;
        this.longest = Math.addExact(longest, tokens);
        this.undo = tokens;
        SessionPlan plan = plan(this.longest, 0);
        ModelShape shape = engine.config().shape();
        List<WorkModel.Heads> heads = new ArrayList<>();
        long full = 0;
        for (SlabPlan slab : plan.cache().plan().slabs()) {
            SlabSpec spec = plan.cache().slab(slab);
            boolean all = slab.retention() instanceof Retention.All;
            full += all ? slab.heads().size() : 0;
            heads.add(new WorkModel.Heads(
                    slab.heads().size(),
                    all ? Long.MAX_VALUE : slab.retention().retainedTokens(Integer.MAX_VALUE),
                    2.0 * spec.format().rowBytes(shape.headDim())));
        }
        this.model = new WorkModel(engine.config(), engine.format().matrices().rowBytes(ROW) / (double) ROW, heads);
        this.weightBytes = engine.weightBytes();
        this.identity = new Identity(
                ENGINE,
                engine.format().label(),
                KvType.name(plan.options().kv(), shape.headDim()),
                plan.options().policy(),
                (double) full / ((long) shape.layers() * shape.kvHeads()),
                setting(plan, shape.headDim()));
    }

    /** How streaming heads are stored, if there are any and it is not as the others. */
    private static String setting(SessionPlan plan, int headDim) {
        BlockFormat streaming = plan.options().streamingKv();
        boolean differs = plan.cache().plan().slabs().stream()
                .anyMatch(slab -> !(slab.retention() instanceof Retention.All)
                        && !streaming.equals(plan.options().kv()));
        return differs ? "streaming kv " + KvType.name(streaming, headDim) : "";
    }

    private SessionPlan plan(int context, int margin) {
        return plan(sessions, least, context, margin);
    }

    private static SessionPlan plan(SessionBuilder sessions, long least, long context, int margin) {
        return sessions.maxContext(Math.max(context, least))
                .rollbackMargin(margin)
                .plan();
    }

    /**
     * Bytes that a contender's cache takes.
     *
     * @param sessions the settings; the longest context and the rollback margin are set here
     * @param least shortest context that the settings allow
     * @param context tokens
     * @param margin tokens that are taken back: those of a decode measurement; 0 for a prefill
     */
    public static long cacheBytes(SessionBuilder sessions, long least, long context, int margin) {
        return plan(sessions, Math.max(1, least), context, margin).kvBytes();
    }

    @Override
    public Identity identity() {
        return identity;
    }

    @Override
    public void warmUp() {
        int rows = Math.min(WARM_UP_ROWS, engine.chunk());
        try (HybridCache small = engine.allocate(plan(WARM_UP_STEPS * (rows + 1) + engine.chunk(), 0))) {
            // Little by little, because code that is not compiled yet takes minutes for a whole chunk.
            long end = System.nanoTime() + WARM_UP_NANOS;
            for (int i = 0; i < WARM_UP_STEPS && System.nanoTime() < end; i++) {
                engine.feed(small, 1);
                engine.feed(small, rows);
            }
            engine.feed(small, engine.chunk());
        }
    }

    @Override
    public double prefill(Span span) {
        try (HybridCache fresh = engine.allocate(plan(span.end(), 0))) {
            engine.fill(fresh, span.from());
            ChunkPlan chunks = new ChunkPlan(span.tokens(), fresh.spec().maxChunk());
            double seconds = 0;
            for (long i = 0; i < chunks.chunks(); i++) {
                seconds += engine.feed(fresh, chunks.size(i));
            }
            return seconds;
        }
    }

    @Override
    public void moveTo(int depth) {
        if (cache == null) {
            cache = engine.allocate(plan(longest, undo));
        }
        engine.fill(cache, depth);
    }

    @Override
    public double decode(int tokens) {
        HybridCache current = cache;
        if (current == null) {
            throw new IllegalStateException("no depth was chosen");
        }
        int depth = (int) current.length();
        List<Double> seconds = new ArrayList<>();
        for (int i = 0; i < tokens; i++) {
            seconds.add(engine.feed(current, 1));
        }
        engine.truncate(current, depth);
        return Benchmark.median(seconds);
    }

    @Override
    public Work prefillWork(Span span) {
        return model.prefill(span, Math.min(engine.chunk(), span.end()));
    }

    @Override
    public Work decodeWork(int depth) {
        return model.decode(depth);
    }

    @Override
    public long weightBytes() {
        return weightBytes;
    }

    @Override
    public long kvBytes(int context) {
        return plan(context, 0).kvBytes();
    }

    @Override
    public void close() {
        if (cache != null) {
            cache.close();
            cache = null;
        }
    }
}
