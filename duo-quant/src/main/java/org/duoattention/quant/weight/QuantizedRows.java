package org.duoattention.quant.weight;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.api.tensor.QuantizedSpec;

/**
 * Consecutive rows of a quantised matrix. The value of a code is {@code (code - zero) * scale}.
 *
 * @param format bits, group and symmetry; scales are F16
 * @param rows number of rows
 * @param columns numbers per row
 * @param codes packed as in {@link QuantizedMatrix}, row after row
 * @param scales binary16 bits, {@code [rows, groups]}
 * @param zeros the unsigned code that stands for zero, {@code [rows, groups]}; the centre throughout when symmetric
 */
@SuppressWarnings("ArrayRecordComponent") // Filled by worker threads, then handed over once.
public record QuantizedRows(
        BlockFormat.Grouped format, int rows, int columns, byte[] codes, short[] scales, byte[] zeros) {
    private static final ValueLayout.OfShort I16 = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /** Groups per row. */
    public int groups() {
        return columns / format.group();
    }

    /**
     * The numbers of a row.
     *
     * @param into receives {@code columns} floats
     */
    public void dequantize(int row, float[] into) {
        int from = row * columns;
        for (int group = 0; group < groups(); group++) {
            int index = row * groups() + group;
            float scale = Float.float16ToFloat(scales[index]);
            int zero = zeros[index] & 0xff;
            for (int i = group * format.group(); i < (group + 1) * format.group(); i++) {
                int code = format.bits() == 8 ? codes[from + i] & 0xff : codes[(from + i) / 2] >> (i & 1) * 4 & 0xf;
                into[i] = (code - zero) * scale;
            }
        }
    }

    /**
     * The same numbers as a matrix that a device adopts. An asymmetric one has F32 scales and offsets, because the product
     * of a zero point and a binary16 scale is exact in F32 but not in F16.
     *
     * @param arena owns the matrix
     */
    public QuantizedMatrix toMatrix(Arena arena) {
        MemorySegment codeBytes = arena.allocate(codes.length);
        MemorySegment.copy(codes, 0, codeBytes, ValueLayout.JAVA_BYTE, 0, codes.length);
        if (!format.asymmetric()) {
            MemorySegment scaleBytes = arena.allocate(2L * scales.length);
            MemorySegment.copy(scales, 0, scaleBytes, I16, 0, scales.length);
            return new QuantizedMatrix(
                    new QuantizedSpec(format, rows, columns), codeBytes, scaleBytes, MemorySegment.NULL);
        }
        BlockFormat.Grouped wide = new BlockFormat.Grouped(format.bits(), format.group(), true, DType.F32);
        MemorySegment scaleBytes = arena.allocate(4L * scales.length);
        MemorySegment offsetBytes = arena.allocate(4L * scales.length);
        for (int i = 0; i < scales.length; i++) {
            float scale = Float.float16ToFloat(scales[i]);
            scaleBytes.set(F32, 4L * i, scale);
            offsetBytes.set(F32, 4L * i, -(zeros[i] & 0xff) * scale);
        }
        return new QuantizedMatrix(new QuantizedSpec(wide, rows, columns), codeBytes, scaleBytes, offsetBytes);
    }
}
