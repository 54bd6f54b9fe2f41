package org.duoattention.backend.cpu.kernel;

import java.lang.foreign.MemorySegment;
import org.duoattention.api.tensor.BlockFormat;

/**
 * Where the keys and values of a head lie. The attention kernel reads by it; everything else goes through these methods,
 * so that a layout is one class's secret. Memory of a new slab is zero. All methods may be called from any thread, on
 * disjoint slots at the same time; a layout that keeps several slots in one cache line must take this into account.
 */
public interface KvLayout {
    /** Bytes of the keys of one head; the values start at the next multiple of 64. */
    long keyBytes(BlockFormat format, int headDim, long slots);

    /** Bytes of the values of one head, including any tail that the attention kernel reads past the last slot. */
    long valueBytes(BlockFormat format, int headDim, long slots);

    /**
     * Rounds rows of F32 keys and values to the head's type (to nearest, ties to even), or quantises them as {@link
     * org.duoattention.quant.kv.KvCodec} does, and stores them in consecutive slots.
     *
     * @param k keys of all heads of the layer, F32; rows {@code firstRow ..}, elements {@code column .. column + headDim}
     * @param v values, likewise
     * @param column first element of the head in a row
     * @param firstRow first row
     * @param rows number of rows
     * @param head target
     * @param firstSlot slot of the first row
     * @param workspace scratch of the calling thread
     */
    void store(
            Matrix k, Matrix v, int column, long firstRow, long rows, KvHead head, long firstSlot, Workspace workspace);

    /** Moves the content of one slot to a lower one; the source's content is undefined afterwards. */
    void move(KvHead head, long from, long to);

    /**
     * Copies consecutive slots to plain memory: for each slot the key row and the value row, of {@code
     * format.rowBytes(headDim)} bytes each: dense elements, or a {@link QuantizedRow}.
     */
    void copyOut(KvHead head, long firstSlot, long slots, MemorySegment target, long targetOffset);

    /** The inverse of {@link #copyOut}. */
    void copyIn(MemorySegment source, long sourceOffset, KvHead head, long firstSlot, long slots);
}
