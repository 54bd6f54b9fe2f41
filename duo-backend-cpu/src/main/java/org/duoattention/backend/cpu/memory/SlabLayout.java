package org.duoattention.backend.cpu.memory;

import java.lang.foreign.MemorySegment;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.backend.cpu.kernel.KvHead;
import org.duoattention.backend.cpu.kernel.KvLayout;
import org.duoattention.quant.kv.KvCodec;

/**
 * Where everything in a slab's memory lies: for each head its keys, then its values, as the kernels lay them out; after
 * the heads, for retentions whose slots are chosen one by one, a position (8 bytes) per head and slot, and a score (4
 * bytes) per head and slot when scores are asked for. Every part starts at a multiple of 64 bytes.
 */
public final class SlabLayout {
    private final SlabSpec spec;
    private final KvLayout layout;
    private final BlockFormat format;
    private final long slots;
    private final long keyBytes;
    private final long headBytes;
    private final long positionsAt;
    private final long scoresAt;
    private final long bytes;

    /**
     * Lays out a slab.
     *
     * @throws IllegalArgumentException when the format is not one of a cache, its groups do not divide a row, or the size does
     *     not fit 64 bits
     */
    public SlabLayout(SlabSpec spec, KvLayout layout) {
        format = spec.format();
        if (format instanceof BlockFormat.Grouped grouped) {
            requireCodec(grouped, spec.shape().headDim());
        }
        this.spec = spec;
        this.layout = layout;
        slots = spec.slotCapacity();
        int dim = spec.shape().headDim();
        int heads = spec.heads().size();
        try {
            keyBytes = align(layout.keyBytes(format, dim, slots));
            headBytes = Math.addExact(keyBytes, align(layout.valueBytes(format, dim, slots)));
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

    private static void requireCodec(BlockFormat.Grouped grouped, int headDim) {
        int group = new KvCodec(grouped).format().group();
        if (headDim % group != 0) {
            throw new IllegalArgumentException("groups of " + group + " do not divide a head of " + headDim);
        }
    }

    private static long align(long bytes) {
        return Math.addExact(bytes, 63) & -64;
    }

    /** How a head is laid out. */
    public KvLayout layout() {
        return layout;
    }

    /** Bytes of a key row and a value row in a snapshot. */
    public long slotBytes() {
        return 2 * format.rowBytes(spec.shape().headDim());
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
                    memory, keys, keys + keyBytes, format, spec.shape().headDim(), slots);
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
