package org.duoattention.backend.cuda.slab;

import java.util.ArrayList;
import java.util.List;
import java.util.function.LongUnaryOperator;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.backend.cuda.driver.GrowingBlock;
import org.duoattention.quant.kv.KvCodec;

/**
 * Where everything in a slab's memory lies: for each head its key rows, key scales, value rows and value scales, as {@code
 * slab.cuh} reads them; after the heads, when scores are asked for, a score (4 bytes) per head and slot. Every area starts at
 * a multiple of {@value #ALIGNMENT} bytes. Positions are not there: the host knows them.
 *
 * <p>Scales lie apart from codes so that rows of codes are aligned for wide loads: a row of 128 codes of 4 bits is 64 bytes,
 * with its scale and offset it would be 68.
 */
public final class SlabLayout {
    /** The largest {@code headDim}; the plain kernel keeps tiles of rows in shared memory. */
    public static final int LARGEST_DIM = 256;

    private static final int ALIGNMENT = 256;
    private static final int SCALE_BYTES = 4;

    private final SlabSpec spec;
    private final long rowBytes;
    private final long scaleBytes;
    private final long slots;
    private final long keyScalesAt;
    private final long valuesAt;
    private final long valueScalesAt;
    private final long headBytes;
    private final long scoresAt;
    private final long bytes;

    /**
     * Lays out a slab.
     *
     * @throws IllegalArgumentException when the format is not one of a cache, its groups do not divide a row, the rows are too
     *     long, or the size does not fit 64 bits
     */
    public SlabLayout(SlabSpec spec) {
        this.spec = spec;
        int dim = spec.shape().headDim();
        if (dim > LARGEST_DIM) {
            throw new IllegalArgumentException(
                    "heads of " + dim + " elements exceed the " + LARGEST_DIM + " that the CUDA kernels are made for");
        }
        slots = spec.slotCapacity();
        if (spec.format() instanceof BlockFormat.Grouped grouped) {
            int group = new KvCodec(grouped).format().group();
            if (dim % group != 0) {
                throw new IllegalArgumentException("groups of " + group + " do not divide a head of " + dim);
            }
            rowBytes = (long) dim * grouped.bits() / 8;
            scaleBytes = (long) dim / group * SCALE_BYTES;
        } else {
            rowBytes = spec.format().rowBytes(dim);
            scaleBytes = 0;
        }
        int heads = spec.heads().size();
        try {
            keyScalesAt = area(slots, rowBytes);
            valuesAt = Math.addExact(keyScalesAt, area(slots, scaleBytes));
            valueScalesAt = Math.addExact(valuesAt, keyScalesAt);
            headBytes = Math.multiplyExact(2, valuesAt);
            scoresAt = Math.multiplyExact(headBytes, (long) heads);
            bytes = Math.addExact(scoresAt, isScored() ? area(slots, 4L * heads) : 0);
        } catch (ArithmeticException e) {
            throw new IllegalArgumentException("the bytes of " + slots + " slots do not fit 64 bits", e);
        }
    }

    private static long area(long slots, long bytes) {
        return Math.addExact(Math.multiplyExact(slots, bytes), ALIGNMENT - 1) & -ALIGNMENT;
    }

    /** Whether slots have scores. */
    public boolean isScored() {
        return spec.retention().scores().isPresent();
    }

    /** Elements that share a scale; 0 for a dense format. */
    public int quantGroup() {
        return spec.format() instanceof BlockFormat.Grouped grouped ? grouped.group() : 0;
    }

    /** Slots of each head. */
    public long slots() {
        return slots;
    }

    /** Bytes in all. */
    public long bytes() {
        return bytes;
    }

    /** Bytes of a key or value row, scales not included. */
    public long rowBytes() {
        return rowBytes;
    }

    /** Bytes of the scales of a key or value row. */
    public long scaleBytes() {
        return scaleBytes;
    }

    /** What the first slots of all heads take, in ascending order; without scores. */
    public List<GrowingBlock.Extent> extents(long count) {
        List<GrowingBlock.Extent> extents = new ArrayList<>();
        if (count > 0) {
            areas((offset, row) -> extents.add(new GrowingBlock.Extent(offset, offset + count * row)));
        }
        return extents;
    }

    /**
     * How many first slots lie within what is there.
     *
     * @param until the offset after what is there, without a gap from an offset on
     */
    public long slotsWithin(LongUnaryOperator until) {
        long[] least = {slots};
        areas((offset, row) -> least[0] = Math.min(least[0], (until.applyAsLong(offset) - offset) / row));
        return least[0];
    }

    private interface Area {
        void at(long offset, long rowBytes);
    }

    private void areas(Area action) {
        for (int head = 0; head < spec.heads().size(); head++) {
            action.at(keys(head), rowBytes);
            if (scaleBytes > 0) {
                action.at(keyScales(head), scaleBytes);
            }
            action.at(values(head), rowBytes);
            if (scaleBytes > 0) {
                action.at(valueScales(head), scaleBytes);
            }
        }
    }

    /** Offset of a head's key rows. */
    public long keys(int head) {
        return head * headBytes;
    }

    /** Offset of a head's key scales. */
    public long keyScales(int head) {
        return head * headBytes + keyScalesAt;
    }

    /** Offset of a head's value rows. */
    public long values(int head) {
        return head * headBytes + valuesAt;
    }

    /** Offset of a head's value scales. */
    public long valueScales(int head) {
        return head * headBytes + valueScalesAt;
    }

    /** Offset of a head's scores. */
    public long scores(int head) {
        return scoresAt + 4 * head * slots;
    }
}
