package org.duoattention.backend.cpu.kernel;

import java.lang.foreign.MemorySegment;

/** What a linear layer multiplies with, or an embedding looks up: {@code [rows, columns]} in readable memory. */
public sealed interface Weight permits Matrix, QuantizedWeight {
    /** The memory, off-heap. */
    MemorySegment segment();

    /** Outputs of a linear layer, entries of an embedding. */
    long rows();

    /** Inputs of a linear layer, width of an embedding. */
    int columns();
}
