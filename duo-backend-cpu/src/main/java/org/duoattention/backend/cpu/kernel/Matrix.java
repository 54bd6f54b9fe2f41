package org.duoattention.backend.cpu.kernel;

import java.lang.foreign.MemorySegment;
import org.duoattention.api.tensor.DType;

/**
 * A dense row-major matrix in readable memory, little-endian, of any alignment. Owns nothing.
 *
 * @param segment the memory, off-heap
 * @param offset byte offset of the first element in the segment
 * @param dtype F32, F16 or BF16
 * @param rows number of rows; a vector is one row
 * @param columns elements per row; rows follow each other without padding
 */
public record Matrix(MemorySegment segment, long offset, DType dtype, long rows, int columns) implements Weight {
    /** Byte offset of an element in the segment. */
    public long at(long row, long column) {
        return offset + (row * columns + column) * dtype.bytes();
    }

    /** The rows {@code first .. first + count - 1}. */
    public Matrix slice(long first, long count) {
        return first == 0 && count == rows ? this : new Matrix(segment, at(first, 0), dtype, count, columns);
    }
}
