package org.duoattention.api.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * A dense tensor in memory that the host can read: row-major, little-endian, not necessarily aligned.
 *
 * <p>It owns nothing: whoever made the segment (a mapped checkpoint, an arena) keeps it alive and closes it.
 *
 * @param spec element type and shape
 * @param data exactly {@code spec.byteSize()} bytes
 */
public record HostTensor(TensorSpec spec, MemorySegment data) implements HostWeight {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfDouble F64 =
            ValueLayout.JAVA_DOUBLE_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfShort I16 = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /** Checks that the segment has exactly the size that the spec asks for. */
    public HostTensor {
        if (data.byteSize() != spec.byteSize()) {
            throw new IllegalArgumentException(
                    spec + " takes " + spec.byteSize() + " bytes, the segment has " + data.byteSize());
        }
    }

    /**
     * One element as a float, for checks and tests rather than kernels.
     *
     * @param index row-major element index
     * @throws UnsupportedOperationException when the element type is not a floating-point type
     */
    public float floatAt(long index) {
        return switch (spec.dtype()) {
            case F64 -> (float) data.get(F64, index * 8);
            case F32 -> data.get(F32, index * 4);
            case F16 -> Float.float16ToFloat(data.get(I16, index * 2));
            case BF16 -> Float.intBitsToFloat(data.get(I16, index * 2) << 16);
            default -> throw new UnsupportedOperationException(spec.dtype() + " holds no floating-point numbers");
        };
    }
}
