package org.duoattention.backend.cpu.vector;

import static org.duoattention.backend.cpu.vector.Simd.L;
import static org.duoattention.backend.cpu.vector.Simd.PANEL;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.api.tensor.QuantizedSpec;

/**
 * Quantised weights in the order in which a product with one row of input reads them: <i>lanes are rows</i>, so that no
 * sum runs across lanes, and addresses only grow.
 *
 * <p>A block is {@link #BLOCK} rows: two panels of {@link Simd#PANEL}, each a lower and an upper half of {@link Simd#L}
 * rows. It holds the groups one after the other, each as
 *
 * <ul>
 *   <li>words: four consecutive columns of every row; those of the first panel, then those of the second, then the next
 *       four columns. With 4 bits lane {@code i} is an int: row {@code i} of the lower half in its lower 16 bits, of the upper
 *       half in its upper ones. With 8 bits it is two vectors of ints, one per half. A last word may be half empty.
 *   <li>scales of the first panel, of the second; F16 as pairs in the lanes of an int as above, F32 as two vectors,
 *   <li>offsets likewise, if there are any.
 * </ul>
 *
 * Rows after the last are zero.
 *
 * @param groups groups per row
 * @param words words per group
 * @param wordBytes bytes of a word of one panel
 * @param scaleBytes bytes of the scales of one panel
 * @param groupBytes bytes of a group of a block
 */
record QuantizedLayout(int groups, int words, int wordBytes, int scaleBytes, long groupBytes) {
    /** Rows of a block. */
    static final int BLOCK = 2 * PANEL;

    private static final ValueLayout.OfShort I16 = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfInt I32 = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    static QuantizedLayout of(QuantizedSpec spec) {
        int words = (spec.format().group() + 3) / 4;
        int wordBytes = PANEL * spec.format().bits() / 2;
        int scaleBytes = PANEL * spec.format().scaleType().bytes();
        int kinds = spec.format().asymmetric() ? 2 : 1;
        long groupBytes = 2L * (Math.multiplyExact(words, wordBytes) + (long) kinds * scaleBytes);
        return new QuantizedLayout((int) spec.groups(), words, wordBytes, scaleBytes, groupBytes);
    }

    /** Bytes of all blocks. */
    static long bytes(QuantizedSpec spec) {
        long blocks = (spec.rows() + BLOCK - 1) / BLOCK;
        return Math.multiplyExact(blocks, of(spec).blockBytes());
    }

    /** Bytes of a block. */
    long blockBytes() {
        return Math.multiplyExact((long) groups, groupBytes);
    }

    /**
     * The group to multiply in turn {@code i}: one of the first half, one of the second. The processor's prefetching runs ahead within a
     * page of 4 KiB only, so a kernel that computes about as long as memory takes waits at the start of each page, and less so with
     * two pages at a time.
     */
    int inTurn(int i) {
        return (i & 1) == 0 ? i / 2 : (groups + i) / 2;
    }

    /** Byte offset of the scales in a group. */
    long scalesAt() {
        return 2L * words * wordBytes;
    }

    /** Byte offset of the offsets in a group. */
    long offsetsAt() {
        return scalesAt() + 2L * scaleBytes;
    }

    /** Byte offset of the block that starts with a row. */
    long blockAt(long row) {
        return row / BLOCK * blockBytes();
    }

    /** Writes the rows {@code from .. to-1}; {@code from} starts a block. */
    void write(QuantizedMatrix source, MemorySegment target, long from, long to) {
        QuantizedSpec spec = source.spec();
        DType scaleType = spec.format().scaleType();
        for (long row = from; row < to; row++) {
            int inBlock = (int) (row % BLOCK);
            int panel = inBlock / PANEL;
            int lane = inBlock % L;
            int upper = inBlock % PANEL / L;
            long at = blockAt(row);
            for (int g = 0; g < groups; g++) {
                if (spec.format().bits() == 4) {
                    words4(source, row, g, target, at + (long) panel * wordBytes + 4L * lane + 2L * upper);
                } else {
                    words8(source, row, g, target, at + (long) panel * wordBytes + 4L * (upper * L + lane));
                }
                long index = row * groups + g;
                long place = (long) panel * scaleBytes
                        + (scaleType == DType.F16 ? 4L * lane + 2L * upper : 4L * (upper * L + lane));
                copy(source.scales(), index, scaleType, target, at + scalesAt() + place);
                if (spec.format().asymmetric()) {
                    copy(source.offsets(), index, scaleType, target, at + offsetsAt() + place);
                }
                at += groupBytes;
            }
        }
    }

    private static void copy(MemorySegment from, long index, DType type, MemorySegment to, long at) {
        if (type == DType.F16) {
            to.set(I16, at, from.get(I16, 2 * index));
        } else {
            to.set(I32, at, from.get(I32, 4 * index));
        }
    }

    private void words4(QuantizedMatrix source, long row, int group, MemorySegment target, long at) {
        int size = source.spec().format().group();
        long from = (row * source.spec().columns() + (long) group * size) / 2;
        int whole = size / 4;
        for (int j = 0; j < whole; j++) {
            target.set(I16, at + 2L * j * wordBytes, source.codes().get(I16, from + 2L * j));
        }
        if (whole < words) {
            byte last = source.codes().get(ValueLayout.JAVA_BYTE, from + 2L * whole);
            target.set(I16, at + 2L * whole * wordBytes, (short) (last & 0xff));
        }
    }

    private void words8(QuantizedMatrix source, long row, int group, MemorySegment target, long at) {
        int size = source.spec().format().group();
        long from = row * source.spec().columns() + (long) group * size;
        int whole = size / 4;
        for (int j = 0; j < whole; j++) {
            target.set(I32, at + 2L * j * wordBytes, source.codes().get(I32, from + 4L * j));
        }
        if (whole < words) {
            short last = source.codes().get(I16, from + 4L * whole);
            target.set(I32, at + 2L * whole * wordBytes, last & 0xffff);
        }
    }
}
