package org.duoattention.quant.weight;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import org.duoattention.api.tensor.HostTensor;

/** Stored numbers as floats, many at a time. */
public final class Floats {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfShort I16 = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private Floats() {}

    /**
     * Reads consecutive elements without rounding.
     *
     * @param tensor F32, F16 or BF16
     * @param first row-major index of the first element
     * @param into receives {@code count} floats from index 0
     * @throws IllegalArgumentException when the element type is another
     */
    public static void read(HostTensor tensor, long first, float[] into, int count) {
        MemorySegment data = tensor.data();
        switch (tensor.spec().dtype()) {
            case F32 -> MemorySegment.copy(data, F32, 4 * first, into, 0, count);
            case F16 -> {
                for (int i = 0; i < count; i++) {
                    into[i] = Float.float16ToFloat(data.get(I16, 2 * (first + i)));
                }
            }
            case BF16 -> {
                for (int i = 0; i < count; i++) {
                    into[i] = Float.intBitsToFloat(data.get(I16, 2 * (first + i)) << 16);
                }
            }
            default ->
                throw new IllegalArgumentException(
                        "elements are F32, F16 or BF16, not " + tensor.spec().dtype());
        }
    }
}
