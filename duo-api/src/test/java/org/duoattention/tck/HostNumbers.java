package org.duoattention.tck;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import org.duoattention.api.tensor.DType;

/** Reads and writes numbers of the weight types, and integers, in host memory of any alignment, little-endian. */
public final class HostNumbers {
    private static final ValueLayout.OfFloat FLOAT =
            ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfShort SHORT =
            ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private HostNumbers() {}

    /** Element {@code index} of a segment of I32. */
    public static int getInt(MemorySegment segment, long index) {
        return segment.get(INT, 4 * index);
    }

    /** Stores element {@code index} of a segment of I32. */
    public static void setInt(MemorySegment segment, long index, int value) {
        segment.set(INT, 4 * index, value);
    }

    /** Element {@code index} of a segment of F32, F16 or BF16. */
    public static double get(DType dtype, MemorySegment segment, long index) {
        return dtype == DType.F32
                ? segment.get(FLOAT, 4 * index)
                : HalfPrecision.value(dtype, segment.get(SHORT, 2 * index));
    }

    /** Stores a value, rounded to nearest even, as element {@code index} of a segment of F32, F16 or BF16. */
    public static void set(DType dtype, MemorySegment segment, long index, double value) {
        if (dtype == DType.F32) {
            segment.set(FLOAT, 4 * index, (float) value);
        } else {
            segment.set(SHORT, 2 * index, HalfPrecision.bits(dtype, value));
        }
    }
}
