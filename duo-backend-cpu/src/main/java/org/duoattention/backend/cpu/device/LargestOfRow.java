package org.duoattention.backend.cpu.device;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import org.duoattention.backend.cpu.kernel.CpuKernels;
import org.duoattention.backend.cpu.kernel.Matrix;

/**
 * The largest elements of a row, in the order of {@link org.duoattention.api.backend.ComputeStream#topK}: a heap of the best so
 * far, the worst of them on top. Nearly every element is compared with that one and passed over. Memory stays from one row to
 * the next.
 *
 * <p>One thread does it: a row of 128,000 numbers takes less time than the threads of a pool take to begin and end.
 */
final class LargestOfRow {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfInt I32 = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    /** Above the key of positive infinity. */
    private static final int NAN = Integer.MAX_VALUE;

    private final CpuKernels kernels;

    /** Keys: an integer that is ordered as the element is, and below it the index, inverted: the lower one is greater. */
    private long[] keys = {};

    private int count;
    private MemorySegment memory = MemorySegment.NULL;
    private long offset;

    LargestOfRow(CpuKernels kernels) {
        this.kernels = kernels;
    }

    /** Finds them; {@code k} is 1 to the number of columns. */
    void of(Matrix x, long row, int k) {
        if (keys.length < k) {
            keys = new long[k];
        }
        count = k;
        memory = x.segment();
        offset = x.at(row, 0);
        for (int i = 0; i < k; i++) {
            keys[i] = key(memory.get(F32, offset + 4L * i), i);
        }
        for (int i = k / 2 - 1; i >= 0; i--) {
            sink(i, keys[i], k);
        }
        float least = valueAt(keys[0]);
        // One that equals the least has a higher index and stays out.
        for (int i = kernels.nextAbove(x, row, k, least);
                i < x.columns();
                i = kernels.nextAbove(x, row, i + 1, least)) {
            long key = key(memory.get(F32, offset + 4L * i), i);
            if (key > keys[0]) {
                sink(0, key, k);
                least = valueAt(keys[0]);
            }
        }
        for (int i = k - 1; i > 0; i--) {
            long worst = keys[0];
            long last = keys[i];
            keys[i] = worst;
            sink(0, last, i);
        }
    }

    /** Writes what was found from element {@code first} of the targets on. */
    void write(MemorySegment indices, MemorySegment values, long first) {
        for (int i = 0; i < count; i++) {
            int index = ~(int) keys[i];
            indices.set(I32, 4 * (first + i), index);
            MemorySegment.copy(memory, offset + 4L * index, values, 4 * (first + i), 4);
        }
    }

    private float valueAt(long key) {
        return memory.get(F32, offset + 4L * ~(int) key);
    }

    private static long key(float value, int index) {
        int bits = Float.floatToRawIntBits(value);
        int ordered;
        if (Float.isNaN(value)) {
            ordered = NAN;
        } else if (value == 0) {
            ordered = 0;
        } else {
            // The size of a negative number counts the other way.
            ordered = bits ^ (bits >> 31 & Integer.MAX_VALUE);
        }
        return (long) ordered << 32 | Integer.toUnsignedLong(~index);
    }

    /** Puts a key into the heap of the first {@code size} at a free place or below it. */
    private void sink(int place, long key, int size) {
        int free = place;
        for (int child = 2 * free + 1; child < size; child = 2 * free + 1) {
            if (child + 1 < size && keys[child + 1] < keys[child]) {
                child++;
            }
            if (key <= keys[child]) {
                break;
            }
            keys[free] = keys[child];
            free = child;
        }
        keys[free] = key;
    }
}
