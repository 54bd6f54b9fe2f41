package org.duoattention.backend.cpu.memory;

import java.lang.foreign.MemorySegment;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.backend.cpu.kernel.KvHead;
import org.duoattention.backend.cpu.kernel.KvLayout;

/**
 * Where everything in a slab's memory lies: for each head its keys, then its values, as the kernels lay them out; after
 * the heads, for retentions whose slots are chosen one by one, a position (8 bytes) per head and slot, and a score (4
 * bytes) per head and slot when scores are asked for. Every part starts at a multiple of 64 bytes.
 */
public final class SlabLayout {
    private final SlabSpec spec;
    private final KvLayout layout;
    private final DType dtype;
    private final long slots;
    private final long keyBytes;
    private final long headBytes;
    private final long positionsAt;
    private final long scoresAt;
    private final long bytes;

    /**
     * Lays out a slab.
     *
     * @throws IllegalArgumentException when the format is not dense or the size does not fit 64 bits
     */
    public SlabLayout(SlabSpec spec, KvLayout layout) {
        if (!(spec.format() instanceof BlockFormat.Dense dense)) {
            throw new IllegalArgumentException("kv=" + spec.format().label() + " is not supported");
        }
        this.spec = spec;
        this.layout = layout;
        dtype = dense.dtype();
        slots = spec.slotCapacity();
        int dim = spec.shape().headDim();
        int heads = spec.heads().size();
        try {
            keyBytes = align(layout.keyBytes(dtype, dim, slots));
            headBytes = Math.addExact(keyBytes, align(layout.valueBytes(dtype, dim, slots)));
            positionsAt = Math.multiplyExact(headBytes, (long) heads);
            boolean chosen =
                    spec.retention() instanceof Retention.TopScored || spec.retention() instanceof Retention.Custom;
            scoresAt = Math.addExact(positionsAt, chosen ? align(Math.multiplyExact(8L * heads, slots)) : 0);
            boolean scored = spec.retention().scores().isPresent();
            bytes = Math.addExact(scoresAt, scored ? align(Math.multiplyExact(4L * heads, slots)) : 0);
        } catch (ArithmeticException e) {
            throw new IllegalArgumentException("the bytes of " + slots + " slots do not fit 64 bits", e);
        }
    }

    private static long align(long bytes) {
        return Math.addExact(bytes, 63) & -64;
    }

    /** How a head is laid out. */
    public KvLayout layout() {
        return layout;
    }

    /** Element type of keys and values. */
    public DType dtype() {
        return dtype;
    }

    /** Slots of each head. */
    public long slots() {
        return slots;
    }

    /** Bytes in all. */
    public long bytes() {
        return bytes;
    }

    /** The heads in a slab's memory. */
    KvHead[] heads(MemorySegment memory) {
        HeadSet heads = spec.heads();
        KvHead[] result = new KvHead[heads.size()];
        for (int i = 0; i < result.length; i++) {
            long keys = i * headBytes;
            result[i] = new KvHead(
                    memory, keys, keys + keyBytes, dtype, spec.shape().headDim(), slots);
        }
        return result;
    }

    /** Byte offset of the positions of a head. */
    long positions(int index) {
        return positionsAt + 8L * index * slots;
    }

    /** Byte offset of the scores of a head. */
    long scores(int index) {
        return scoresAt + 4L * index * slots;
    }
}
