package org.duoattention.identify.score;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Tensor;

/** Moves F32 tensors to and from the heap. */
final class Rows {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private Rows() {}

    /** Waits for a tensor and copies it. */
    static float[] download(ComputeStream stream, Tensor source) {
        float[] values = new float[Math.toIntExact(source.spec().elements())];
        try (Arena arena = Arena.ofShared()) {
            MemorySegment copy = arena.allocate(source.spec().byteSize(), Float.BYTES);
            stream.download(source, copy);
            stream.synchronize();
            MemorySegment.copy(copy, F32, 0, values, 0, values.length);
        }
        return values;
    }

    /** Fills a tensor. */
    static void upload(ComputeStream stream, float[] source, Tensor target) {
        try (Arena arena = Arena.ofShared()) {
            MemorySegment copy = arena.allocate(target.spec().byteSize(), Float.BYTES);
            MemorySegment.copy(source, 0, copy, F32, 0, source.length);
            stream.upload(copy, target);
        }
    }
}
