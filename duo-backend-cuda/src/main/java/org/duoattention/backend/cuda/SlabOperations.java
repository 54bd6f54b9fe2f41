package org.duoattention.backend.cuda;

import static org.duoattention.backend.cuda.Arguments.illegal;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.cache.ScoreSpec;
import org.duoattention.api.cache.SlotTable;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.backend.cuda.driver.DeviceMemory;
import org.duoattention.backend.cuda.slab.ChosenSlots;
import org.duoattention.backend.cuda.slab.SlabLayout;
import org.duoattention.backend.cuda.slab.Slots;

/**
 * Slabs of one device and the operations on them. The stream has checked that it is open and called by its owner, and that
 * tensors are open and of this device; everything about slabs is checked here, before anything is queued.
 */
final class SlabOperations {
    private static final int APPEND_THREADS = 128;
    private static final int WARP = 32;
    private static final int COMPACT_THREADS = 1024;

    private final CudaDevice device;
    private final AttentionOperations attention;

    SlabOperations(CudaDevice device) {
        this.device = device;
        this.attention = new AttentionOperations(device);
    }

    /** An empty slab, registered with the device. */
    Slab allocate(SlabSpec spec) {
        SlabLayout layout = new SlabLayout(spec);
        return device.register(new CudaSlab(device, spec, layout, SlabMemory.take(device, spec, layout)));
    }

    /** Exactly what {@link #allocate} takes. */
    long bytes(SlabSpec spec) {
        return SlabMemory.bytes(device.memory(), spec, new SlabLayout(spec));
    }

    /** Makes sure that all of these slabs have memory for so many tokens more, or as many as they may come to hold. */
    void reserve(List<Slab> slabs, long tokens) {
        if (tokens < 0) {
            throw illegal("memory cannot be reserved for " + tokens + " tokens");
        }
        List<SlabMemory> lacking = new ArrayList<>();
        long[] slots = new long[slabs.size()];
        for (Slab slab : slabs) {
            CudaSlab cache = slab(slab);
            if (cache.spec().retention() instanceof Retention.All) {
                long most = cache.spec().maxTokens();
                long needed = tokens > most - cache.length() ? most : cache.length() + tokens;
                if (cache.memory().lacks(needed)) {
                    slots[lacking.size()] = needed;
                    lacking.add(cache.memory());
                }
            }
        }
        if (!lacking.isEmpty()) {
            SlabMemory.grow(
                    device.memory(),
                    "a cache of " + tokens + " more tokens",
                    lacking,
                    Arrays.copyOf(slots, lacking.size()));
        }
    }

    private CudaSlab slab(Slab slab) {
        if (!(slab instanceof CudaSlab mine) || !mine.belongsTo(device)) {
            throw illegal("the slab of layer " + slab.spec().layer() + " belongs to another device");
        }
        mine.requireOpen();
        return mine;
    }

    /** The last part of the names of the kernels for a format. */
    static String suffix(BlockFormat format) {
        return format.label();
    }

    /** {@code k} and {@code v} are activations of the same shape. */
    void append(Launches launches, Slab slab, CudaTensor k, CudaTensor v) {
        CudaSlab cache = slab(slab);
        ModelShape shape = cache.spec().shape();
        if (k.spec().extent(1) != shape.kvWidth()) {
            throw illegal(
                    "keys " + k.spec() + " do not have " + shape.kvHeads() + " x " + shape.headDim() + " columns");
        }
        long tokens = k.spec().extent(0);
        if (tokens > cache.spec().maxChunk()) {
            throw illegal(tokens + " tokens exceed the largest chunk of "
                    + cache.spec().maxChunk() + " in " + k.spec());
        }
        cache.slots().requireRoom(tokens);
        reserve(List.of(cache), tokens);
        if (tokens > 0) {
            SlabUnits units = new SlabUnits(cache.heads());
            units.add(cache, cache.slots().next(tokens), 0, 0, 0);
            Kernel kernel = device.kernels()
                    .get("cache_append", "append_" + suffix(cache.spec().format()));
            long warps = 2 * tokens * cache.heads();
            launches.launch(
                    kernel,
                    Math.ceilDiv(warps, (long) APPEND_THREADS / WARP),
                    1,
                    1,
                    APPEND_THREADS,
                    0,
                    k.address(),
                    v.address(),
                    tokens,
                    shape.kvWidth(),
                    units.variables(launches),
                    units.count(),
                    shape.headDim(),
                    cache.layout().quantGroup());
        }
        cache.appended(tokens);
    }

    /** {@code q} and {@code out} are activations of the same shape, {@code out} may be written to. */
    void attendAll(Launches launches, List<Slab> slabs, CudaTensor q, float scale, PrefillMode mode, CudaTensor out) {
        List<CudaSlab> caches = slabs.stream().map(this::slab).toList();
        caches.forEach(cache -> requireQueries(cache, q));
        if (q.spec().extent(0) == 0) {
            return;
        }
        attention.attend(launches, caches, q, scale, mode, out);
        for (CudaSlab cache : caches) {
            if (cache.awaitsScores()) {
                attention.score(launches, cache, q, scale, mode);
                ((ChosenSlots) cache.slots()).settle();
                cache.scored();
            }
        }
    }

    private static void requireQueries(CudaSlab slab, CudaTensor q) {
        ModelShape shape = slab.spec().shape();
        if (q.spec().extent(1) != shape.queryWidth()) {
            throw illegal("queries " + q.spec() + " do not have " + shape.attentionHeads() + " x " + shape.headDim()
                    + " columns");
        }
        if (q.spec().extent(0) != slab.lastAppend()) {
            throw illegal("queries " + q.spec() + " do not match the slab's last append of " + slab.lastAppend()
                    + " tokens: append, attend, then evict");
        }
    }

    /** Moves counters only. */
    void evict(Slab slab) {
        CudaSlab cache = slab(slab);
        long before = cache.slots().visible().count();
        cache.slots().evict();
        if (cache.slots().visible().count() < before) {
            cache.changed();
        }
    }

    SlotTable slots(Launches launches, Slab slab, int head) {
        CudaSlab cache = slab(slab);
        for (int i = 0; i < cache.heads(); i++) {
            if (cache.spec().heads().get(i) == head) {
                return table(launches, cache, i);
            }
        }
        throw illegal("head " + head + " is not one of " + cache.spec().heads());
    }

    private static SlotTable table(Launches launches, CudaSlab slab, int index) {
        launches.finish();
        long[] positions = slab.slots().positions(index);
        if (!slab.layout().isScored()) {
            return new SlotTable(positions, new float[0]);
        }
        if (!slab.spec()
                .retention()
                .scores()
                .filter(ScoreSpec::sharedAcrossHeads)
                .isPresent()) {
            return new SlotTable(positions, scores(launches, slab, index, positions.length));
        }
        double[] sums = new double[positions.length];
        for (int i = 0; i < slab.heads(); i++) {
            float[] scores = scores(launches, slab, i, positions.length);
            Arrays.setAll(sums, s -> sums[s] + scores[s]);
        }
        float[] means = new float[sums.length];
        for (int s = 0; s < means.length; s++) {
            means[s] = (float) (sums[s] / slab.heads());
        }
        return new SlotTable(positions, means);
    }

    private static float[] scores(Launches launches, CudaSlab slab, int index, int count) {
        float[] scores = new float[count];
        if (count > 0) {
            launches.download(slab.address() + slab.layout().scores(index), MemorySegment.ofArray(scores));
        }
        return scores;
    }

    void compact(Launches launches, Slab slab, List<int[]> keep) {
        CudaSlab cache = slab(slab);
        if (!(cache.slots() instanceof ChosenSlots chosen)) {
            throw illegal("layer " + cache.spec().layer() + " heads "
                    + cache.spec().heads() + " retain " + cache.spec().retention()
                    + " and evict by position: they are not compacted");
        }
        long held = chosen.visible().count();
        requireSlots(cache, keep, held);
        int kept = keep.getFirst().length;
        if (kept > 0 && kept < held) {
            moveRows(launches, cache, keep, kept);
        }
        chosen.keep(keep);
        cache.changed();
    }

    private void moveRows(Launches launches, CudaSlab slab, List<int[]> keep, int kept) {
        SlabLayout layout = slab.layout();
        int[] indices = new int[kept * slab.heads()];
        long[] arrays = new long[slab.heads() * 5 * 3];
        int count = 0;
        for (int i = 0; i < slab.heads(); i++) {
            System.arraycopy(keep.get(i), 0, indices, i * kept, kept);
            long[][] areas = {
                {layout.keys(i), layout.rowBytes()},
                {layout.keyScales(i), layout.scaleBytes()},
                {layout.values(i), layout.rowBytes()},
                {layout.valueScales(i), layout.scaleBytes()},
                {layout.scores(i), layout.isScored() ? 4 : 0}
            };
            for (long[] area : areas) {
                if (area[1] > 0) {
                    arrays[3 * count] = slab.address() + area[0];
                    arrays[3 * count + 1] = area[1];
                    arrays[3 * count + 2] = (long) i * kept;
                    count++;
                }
            }
        }
        // The lists may be longer than what variables are for.
        long lists = launches.scratch((long) indices.length * Integer.BYTES);
        launches.upload(MemorySegment.ofArray(indices), lists);
        launches.launch(
                device.kernels().get("cache_compact", "compact_rows"),
                count,
                1,
                1,
                COMPACT_THREADS,
                0,
                launches.vars(arrays),
                lists,
                kept);
    }

    private static void requireSlots(CudaSlab slab, List<int[]> keep, long count) {
        if (keep.size() != slab.heads()) {
            throw illegal(keep.size() + " lists of slots to keep for the " + slab.heads() + " heads "
                    + slab.spec().heads());
        }
        for (int[] kept : keep) {
            if (kept.length != keep.getFirst().length) {
                throw illegal(
                        "the heads keep different numbers of slots: " + kept.length + " and " + keep.getFirst().length);
            }
            for (int i = 0; i < kept.length; i++) {
                if (kept[i] < 0 || kept[i] >= count || i > 0 && kept[i] <= kept[i - 1]) {
                    throw illegal("slots to keep ascend strictly within 0 to " + (count - 1) + ", not "
                            + Arrays.toString(kept));
                }
            }
        }
    }

    void truncate(Slab slab, long length) {
        CudaSlab cache = slab(slab);
        if (!(length >= cache.minLength() && length <= cache.length())) {
            throw illegal("a slab of " + cache.length() + " tokens can go back to " + cache.minLength()
                    + " at most, not to " + length);
        }
        if (length < cache.length()) {
            cache.slots().truncate(length);
            cache.changed();
            DeviceMemory.Need remainder = cache.memory().remainder(length);
            if (remainder != null) {
                device.finishStreams();
                cache.memory().shrink(remainder);
            }
        }
    }

    long saveBytes(Slab slab) {
        return SlabSnapshot.bytes(slab(slab));
    }

    void save(Launches launches, Slab slab, MemorySegment target) {
        CudaSlab cache = slab(slab);
        Arguments.hostBytes(target, SlabSnapshot.bytes(cache), "the snapshot");
        if (target.isReadOnly()) {
            throw illegal("a snapshot cannot be written to a read-only segment");
        }
        SlabSnapshot.save(cache, launches, target);
    }

    void restore(Launches launches, Slab slab, MemorySegment source) {
        CudaSlab cache = slab(slab);
        Slots restored = SlabSnapshot.restore(
                cache, launches, source, length -> reserve(List.of(cache), Math.max(0, length - cache.length())));
        cache.restored(restored);
    }
}
