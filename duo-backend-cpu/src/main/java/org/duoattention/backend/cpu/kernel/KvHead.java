package org.duoattention.backend.cpu.kernel;

import java.lang.foreign.MemorySegment;
import org.duoattention.api.tensor.DType;

/**
 * The keys and values of one KV head of a slab, arranged as the {@link KvLayout} of the kernels says. Owns nothing.
 *
 * @param segment the slab's memory, off-heap
 * @param keyOffset byte offset of the head's keys, a multiple of 64
 * @param valueOffset byte offset of the head's values, a multiple of 64
 * @param dtype F32, F16 or BF16
 * @param headDim elements of one key or value row
 * @param slots number of slots
 */
public record KvHead(MemorySegment segment, long keyOffset, long valueOffset, DType dtype, int headDim, long slots) {}
