package org.duoattention.core.load.gguf;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * The order of rows in the query and key projections of the architecture llama. RoPE as Hugging Face has it turns rows
 * {@code j} and {@code j + headDim / 2} of a head together; ggml turns neighbours, and so its converter (permute in
 * convert_hf_to_gguf.py of ggml-org/llama.cpp) stores row {@code j} at {@code 2 j} and row {@code j + headDim / 2} at {@code
 * 2 j + 1}. This undoes it.
 *
 * @param heads heads of the projection
 * @param headDim rows of a head; even
 */
record HeadRows(int heads, int headDim) {
    /** Where in the file the row lies that belongs at {@code row}. */
    long stored(long row) {
        long head = row / headDim * headDim;
        long within = row - head;
        int half = headDim / 2;
        return head + (within < half ? 2 * within : 2 * (within - half) + 1);
    }

    /** A copy with the rows in Hugging Face's order; rows may be of any size. */
    MemorySegment restored(MemorySegment rows, Arena arena) {
        long count = (long) heads * headDim;
        long rowBytes = rows.byteSize() / count;
        MemorySegment copy = arena.allocate(rows.byteSize(), 64);
        for (long row = 0; row < count; row++) {
            MemorySegment.copy(rows, stored(row) * rowBytes, copy, row * rowBytes, rowBytes);
        }
        return copy;
    }
}
