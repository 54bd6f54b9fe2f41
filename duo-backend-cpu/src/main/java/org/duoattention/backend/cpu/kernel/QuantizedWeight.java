package org.duoattention.backend.cpu.kernel;

import java.lang.foreign.MemorySegment;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.QuantizedSpec;

/**
 * A quantised matrix in the order of the kernels that repacked it. Owns nothing.
 *
 * @param segment {@link CpuKernels#quantizedBytes} bytes, off-heap, 64-byte aligned
 * @param spec format and extents
 */
public record QuantizedWeight(MemorySegment segment, QuantizedSpec spec) implements Weight {
    @Override
    public long rows() {
        return spec.rows();
    }

    @Override
    public int columns() {
        return (int) spec.columns();
    }

    /** Bits, group, offsets and type of the scales. */
    public BlockFormat.Grouped format() {
        return spec.format();
    }
}
