package org.duoattention.backend.cpu.kernel;

import java.lang.foreign.MemorySegment;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;

/**
 * The keys and values of one KV head of a slab, arranged as the {@link KvLayout} of the kernels says. Owns nothing.
 *
 * @param segment the slab's memory, off-heap
 * @param keyOffset byte offset of the head's keys, a multiple of 64
 * @param valueOffset byte offset of the head's values, a multiple of 64
 * @param format dense, or grouped as {@link org.duoattention.quant.kv.KvCodec} has it
 * @param headDim elements of one key or value row
 * @param slots number of slots
 */
public record KvHead(
        MemorySegment segment, long keyOffset, long valueOffset, BlockFormat format, int headDim, long slots) {
    /** Whether rows are codes with scales and offsets. */
    public boolean isQuantized() {
        return format instanceof BlockFormat.Grouped;
    }

    /** The element type of a dense head. */
    public DType dtype() {
        return ((BlockFormat.Dense) format).dtype();
    }

    /** The format of a quantised head. */
    public BlockFormat.Grouped grouped() {
        return (BlockFormat.Grouped) format;
    }
}
