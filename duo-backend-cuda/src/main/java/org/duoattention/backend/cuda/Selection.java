package org.duoattention.backend.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.duoattention.api.backend.ComputeStream;

/**
 * Queues the selection of the largest elements of rows, and copies what was selected to the host. Arguments are checked
 * already.
 */
final class Selection implements AutoCloseable {
    private static final String SOURCE = "top_k";
    private static final int ARGMAX_THREADS = 256;
    private static final int SORT_THREADS = 512;
    /** Elements that one block selects from; the kernels have the same number. */
    private static final int PART = 2048;
    /** Rows are taken so many at a time that their keys take no more than this. */
    private static final long KEY_BYTES = 16 << 20;

    private final Kernels kernels;
    private final Launches launches;
    private final Arena arena = Arena.ofShared();
    /** Indices, then values, on their way to where the caller wants them: those of one row, at the least. */
    private final MemorySegment pairs = arena.allocate(2L * Integer.BYTES * ComputeStream.MAX_TOP_K, Integer.BYTES);

    Selection(CudaDevice device, Launches launches) {
        this.kernels = device.kernels();
        this.launches = launches;
    }

    void topK(CudaTensor x, int k, MemorySegment indices, MemorySegment values) {
        long rows = x.spec().extent(0);
        int width = Math.toIntExact(x.spec().extent(1));
        if (rows == 0) {
            return;
        }
        long half = rows * k * Integer.BYTES;
        int parts = Math.ceilDiv(width, PART);
        long rowKeys = (long) parts * k;
        // Keys of one pass and, behind them, of the next, which has half as many at most.
        long rowBytes = 2 * rowKeys * Long.BYTES;
        long most = Math.clamp(KEY_BYTES / rowBytes, 1, rows);
        long selected = launches.scratch(2 * half + most * rowBytes);
        long keys = selected + 2 * half;
        for (long row = 0; row < rows; row += most) {
            long count = Math.min(most, rows - row);
            long elements = x.address() + row * width * Float.BYTES;
            long at = selected + row * k * Integer.BYTES;
            if (k == 1) {
                argmax(elements, width, count, keys, at, at + half);
            } else {
                sorted(elements, width, count, k, keys, at, at + half);
            }
        }
        if (2 * half <= pairs.byteSize()) {
            // One transfer, which is what takes the time.
            launches.download(selected, pairs.asSlice(0, 2 * half));
            MemorySegment.copy(pairs, 0, indices, 0, half);
            MemorySegment.copy(pairs, half, values, 0, half);
        } else {
            launches.download(selected, indices);
            launches.download(selected + half, values);
        }
    }

    private void argmax(long x, int width, long rows, long keys, long indices, long values) {
        int parts = Math.ceilDiv(width, PART);
        launches.launch(
                kernels.get(SOURCE, "duo_argmax_parts"), rows * parts, 1, 1, ARGMAX_THREADS, 0, x, width, parts, keys);
        launches.launch(
                kernels.get(SOURCE, "duo_argmax_row"),
                rows,
                1,
                1,
                ARGMAX_THREADS,
                0,
                keys,
                parts,
                x,
                width,
                indices,
                values);
    }

    private void sorted(long x, int width, long rows, int k, long keys, long indices, long values) {
        int parts = Math.ceilDiv(width, PART);
        long from = keys;
        long to = keys + rows * parts * k * Long.BYTES;
        launches.launch(
                kernels.get(SOURCE, "duo_top_k_parts"),
                rows * parts,
                1,
                1,
                SORT_THREADS,
                0,
                x,
                width,
                parts,
                k,
                from,
                indices,
                values);
        while (parts > 1) {
            int rowKeys = parts * k;
            parts = Math.ceilDiv(rowKeys, PART);
            launches.launch(
                    kernels.get(SOURCE, "duo_top_k_keys"),
                    rows * parts,
                    1,
                    1,
                    SORT_THREADS,
                    0,
                    from,
                    rowKeys,
                    x,
                    width,
                    parts,
                    k,
                    to,
                    indices,
                    values);
            long read = from;
            from = to;
            to = read;
        }
    }

    /** No effect the second time. */
    @Override
    public void close() {
        if (arena.scope().isAlive()) {
            arena.close();
        }
    }
}
