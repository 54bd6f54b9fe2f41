package org.duoattention.identify.distill;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Tensor;

/** Moves rows of F32 tensors to and from the heap. */
public final class HostRows {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private HostRows() {}

    /** Copies a whole tensor into an array, waiting for it. */
    public static void download(ComputeStream stream, Tensor source, float[] target, int at) {
        try (Arena arena = Arena.ofShared()) {
            MemorySegment copy = arena.allocate(source.spec().byteSize(), Float.BYTES);
            stream.download(source, copy);
            stream.synchronize();
            MemorySegment.copy(
                    copy, F32, 0, target, at, Math.toIntExact(source.spec().elements()));
        }
    }

    /** A copy of a whole tensor, when it is there. */
    public static float[] download(ComputeStream stream, Tensor source) {
        float[] values = new float[Math.toIntExact(source.spec().elements())];
        download(stream, source, values, 0);
        return values;
    }

    /** Fills a whole tensor from an array. */
    public static void upload(ComputeStream stream, float[] source, int at, Tensor target) {
        try (Arena arena = Arena.ofShared()) {
            MemorySegment copy = arena.allocate(target.spec().byteSize(), Float.BYTES);
            MemorySegment.copy(
                    source, at, copy, F32, 0, Math.toIntExact(target.spec().elements()));
            stream.upload(copy, target);
        }
    }

    /** Sets rows to zero, a block at a time. */
    static void clear(ComputeStream stream, Tensor tensor, long from, long to, int block) {
        if (from >= to) {
            return;
        }
        long rowBytes = tensor.spec().withRows(1).byteSize();
        try (Arena arena = Arena.ofShared()) {
            MemorySegment zeros = arena.allocate(Math.min(block, to - from) * rowBytes, Float.BYTES);
            for (long row = from; row < to; row += block) {
                long count = Math.min(block, to - row);
                stream.upload(zeros.asSlice(0, count * rowBytes), tensor.rows(row, count));
            }
        }
    }

    /** Whether the first rows of a tensor hold finite numbers only. */
    static boolean isFinite(ComputeStream stream, Tensor tensor, long from, long to, int block) {
        float[] values =
                new float[Math.toIntExact(Math.min(block, to) * tensor.spec().rowElements())];
        for (long row = from; row < to; row += block) {
            long count = Math.min(block, to - row);
            Tensor rows = tensor.rows(row, count);
            download(stream, rows, values, 0);
            int elements = Math.toIntExact(rows.spec().elements());
            for (int i = 0; i < elements; i++) {
                if (!Float.isFinite(values[i])) {
                    return false;
                }
            }
        }
        return true;
    }
}
