package org.duoattention.core.cache;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.stream.IntStream;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.cache.SlabPlan;
import org.duoattention.api.cache.SlotTable;
import org.duoattention.core.DuoException;
import org.jspecify.annotations.Nullable;

/**
 * The key/value cache of one session: the slabs of a plan, layer by layer. A full cache for retrieval heads, a constant
 * one for streaming heads (DuoAttention, arXiv 2410.10819), or whatever the policy planned.
 *
 * <p>Owns its slabs. Used by the thread that owns the stream; the counters may be read from any thread between steps.
 */
public final class HybridCache implements AutoCloseable {
    private final Device device;
    private final CacheSpec spec;
    private final List<List<Slab>> layers;
    /** The same in one list. */
    private final List<Slab> slabs = new ArrayList<>();

    private final List<SlabReport> report;

    private HybridCache(Device device, CacheSpec spec, List<List<Slab>> layers, List<SlabReport> report) {
        this.device = device;
        this.spec = spec;
        this.layers = layers;
        this.report = report;
    }

    /**
     * Allocates every slab of a plan, or none.
     *
     * @throws org.duoattention.api.backend.DeviceMemoryException when the device has not enough memory
     */
    public static HybridCache allocate(Device device, CacheSpec spec) {
        List<SlabReport> report = spec.report(device);
        List<List<Slab>> layers = new ArrayList<>();
        for (int layer = 0; layer < spec.plan().shape().layers(); layer++) {
            layers.add(new ArrayList<>());
        }
        HybridCache cache = new HybridCache(device, spec, layers, report);
        try {
            for (SlabPlan slab : spec.plan().slabs()) {
                Slab allocated = device.allocate(spec.slab(slab));
                layers.get(slab.layer()).add(allocated);
                cache.slabs.add(allocated);
            }
        } catch (RuntimeException | Error e) {
            cache.close();
            throw e;
        }
        return cache;
    }

    /** What the cache was allocated for. */
    public CacheSpec spec() {
        return spec;
    }

    /** Tokens seen so far: the absolute position of the next one. */
    public long length() {
        return layers.getFirst().getFirst().length();
    }

    /** The smallest length that {@link #truncate} can go back to. */
    public long minLength() {
        long min = 0;
        for (List<Slab> layer : layers) {
            for (Slab slab : layer) {
                min = Math.max(min, slab.minLength());
            }
        }
        return min;
    }

    /** Exact bytes per slab. */
    public List<SlabReport> report() {
        return report;
    }

    /** Exact bytes of all slabs. */
    public long bytes() {
        return SlabReport.totalBytes(report);
    }

    /**
     * Makes sure that there is memory for more tokens, in every slab or in none. A caller that does not ask hears of a lack in
     * the middle of a chunk.
     *
     * @param tokens how many are fed next
     * @throws org.duoattention.api.backend.DeviceMemoryException when other programs have taken the memory that the cache was
     *     allocated for; nothing has changed then
     */
    public void reserve(long tokens) {
        device.reserve(slabs, tokens);
    }

    /**
     * One layer's attention for a chunk: append, attend, evict.
     *
     * @param layer layer index
     * @param q F32 {@code [tokens, attentionHeads * headDim]}, after RoPE
     * @param k F32 {@code [tokens, kvHeads * headDim]}, after RoPE
     * @param v likewise
     * @param out F32 like {@code q}; every column is written
     */
    public void attend(
            ComputeStream stream, int layer, Tensor q, Tensor k, Tensor v, float scale, PrefillMode mode, Tensor out) {
        List<Slab> slabs = layers.get(layer);
        for (Slab slab : slabs) {
            stream.append(slab, k, v);
        }
        stream.attendAll(slabs, q, scale, mode, out);
        for (Slab slab : slabs) {
            evict(stream, slab);
        }
    }

    /**
     * Appends one layer's keys and values without attending to them, then evicts: fills a cache with given numbers, to
     * measure what happens at a depth without a prefill up to it.
     *
     * @param layer layer index
     * @param k F32 {@code [tokens, kvHeads * headDim]}, after RoPE; at most the spec's {@code maxChunk} tokens
     * @param v likewise
     */
    public void append(ComputeStream stream, int layer, Tensor k, Tensor v) {
        for (Slab slab : layers.get(layer)) {
            stream.append(slab, k, v);
            evict(stream, slab);
        }
    }

    private static void evict(ComputeStream stream, Slab slab) {
        switch (slab.spec().retention()) {
            case Retention.All all -> {}
            case Retention.SinkAndRecent window -> stream.evict(slab);
            case Retention.TopScored scored ->
                compact(stream, slab, scored.budget(), slots -> TopScoredSelection.keep(slots, scored));
            case Retention.Custom custom ->
                compact(
                        stream,
                        slab,
                        custom.budget(),
                        slots ->
                                checked(custom.selector().keep(slots, custom.budget()), slots.size(), custom.budget()));
        }
    }

    private interface Selection {
        int[] keep(SlotTable slots);
    }

    private static void compact(ComputeStream stream, Slab slab, int budget, Selection selection) {
        List<int[]> keep = new ArrayList<>();
        for (int head : slab.spec().heads().stream().toArray()) {
            SlotTable slots = stream.slots(slab, head);
            keep.add(slots.size() <= budget ? IntStream.range(0, slots.size()).toArray() : selection.keep(slots));
        }
        for (int[] kept : keep) {
            if (kept.length != keep.getFirst().length) {
                throw new DuoException("The cache policy's selector keeps " + keep.getFirst().length
                        + " slots of one head and "
                        + kept.length + " of another of layer " + slab.spec().layer()
                        + "; heads of one slab keep the same number");
            }
        }
        stream.compact(slab, keep);
    }

    private static int[] checked(int @Nullable [] keep, int slots, int budget) {
        if (keep == null || keep.length > budget) {
            throw new DuoException("The cache policy's selector returned "
                    + (keep == null ? "null" : keep.length + " indices") + "; expected at most " + budget);
        }
        for (int i = 0; i < keep.length; i++) {
            if (keep[i] < 0 || keep[i] >= slots || i > 0 && keep[i] <= keep[i - 1]) {
                throw new DuoException("The cache policy's selector returned index " + keep[i] + " at place " + i
                        + "; expected strictly ascending indices below " + slots);
            }
        }
        return keep;
    }

    /**
     * Takes back tokens, exactly.
     *
     * @param length the new {@link #length}
     * @throws DuoException when a slab cannot go back that far; nothing has changed then
     */
    public void truncate(ComputeStream stream, long length) {
        if (length > length() || length < minLength()) {
            throw new DuoException("Cannot roll back from " + length() + " to " + length + " tokens exactly: the cache"
                    + " can go back to " + minLength() + "; open the session with a larger rollback margin");
        }
        for (List<Slab> layer : layers) {
            for (Slab slab : layer) {
                stream.truncate(slab, length);
            }
        }
    }

    /** The bytes that {@link #save} writes of every slab now, in the order of the plan's layers. */
    public long[] saveBytes(ComputeStream stream) {
        return layers.stream()
                .flatMap(List::stream)
                .mapToLong(stream::saveBytes)
                .toArray();
    }

    /**
     * Writes every slab into host memory. The targets hold the data after the stream's next synchronisation.
     *
     * @param targets of the sizes and in the order of {@link #saveBytes}, alive until then
     */
    public void save(ComputeStream stream, List<MemorySegment> targets) {
        Iterator<MemorySegment> next = targets.iterator();
        layers.stream().flatMap(List::stream).forEach(slab -> stream.save(slab, next.next()));
    }

    /**
     * Replaces the content of every slab by what {@link #save} wrote of a cache with an equal spec.
     *
     * @throws IllegalArgumentException when something else was written; slabs before it are replaced then
     */
    public void restore(ComputeStream stream, List<MemorySegment> sources) {
        Iterator<MemorySegment> next = sources.iterator();
        layers.stream().flatMap(List::stream).forEach(slab -> stream.restore(slab, next.next()));
    }

    /** Releases every slab; no effect the second time. */
    @Override
    public void close() {
        for (List<Slab> layer : layers) {
            layer.forEach(Slab::close);
        }
    }
}
