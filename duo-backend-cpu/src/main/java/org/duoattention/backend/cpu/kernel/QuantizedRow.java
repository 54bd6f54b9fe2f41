package org.duoattention.backend.cpu.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.quant.kv.KvCodec;

/**
 * A quantised key or value row in plain memory, {@code format.rowBytes(headDim)} bytes: the codes, unsigned, with 4 bits two to a byte
 * and the first in the lower half, then scale and offset of every group as F16.
 */
public final class QuantizedRow {
    private static final ValueLayout.OfShort I16 = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private QuantizedRow() {}

    /** Byte offset, in a row, of the scale of a group; its offset follows. */
    public static long scaleAt(BlockFormat.Grouped format, int headDim, int group) {
        return (long) headDim * format.bits() / 8 + 4L * group;
    }

    /** A code of a row at a byte offset. */
    public static int code(BlockFormat.Grouped format, MemorySegment memory, long row, int element) {
        if (format.bits() == 8) {
            return memory.get(ValueLayout.JAVA_BYTE, row + element) & 0xff;
        }
        return memory.get(ValueLayout.JAVA_BYTE, row + element / 2) >> 4 * (element & 1) & 0xf;
    }

    /** Writes a code; with 4 bits the elements of a row in ascending order. */
    public static void code(BlockFormat.Grouped format, MemorySegment memory, long row, int element, int code) {
        if (format.bits() == 8) {
            memory.set(ValueLayout.JAVA_BYTE, row + element, (byte) code);
        } else if ((element & 1) == 0) {
            memory.set(ValueLayout.JAVA_BYTE, row + element / 2, (byte) code);
        } else {
            byte lower = memory.get(ValueLayout.JAVA_BYTE, row + element / 2);
            memory.set(ValueLayout.JAVA_BYTE, row + element / 2, (byte) (lower | code << 4));
        }
    }

    /** Quantises a row. */
    static void write(KvCodec codec, float[] row, MemorySegment memory, long at) {
        BlockFormat.Grouped format = codec.format();
        for (int g = 0; g < row.length / format.group(); g++) {
            int from = g * format.group();
            short offset = codec.offset(row, from);
            short scale = codec.scale(row, from, offset);
            for (int d = from; d < from + format.group(); d++) {
                code(format, memory, at, d, codec.code(row[d], offset, scale));
            }
            long scales = at + scaleAt(format, row.length, g);
            memory.set(I16, scales, scale);
            memory.set(I16, scales + 2, offset);
        }
    }

    /** The values of a row. */
    static void read(BlockFormat.Grouped format, MemorySegment memory, long at, float[] row) {
        for (int g = 0; g < row.length / format.group(); g++) {
            long scales = at + scaleAt(format, row.length, g);
            short scale = memory.get(I16, scales);
            short offset = memory.get(I16, scales + 2);
            for (int d = g * format.group(); d < (g + 1) * format.group(); d++) {
                row[d] = KvCodec.value(code(format, memory, at, d), offset, scale);
            }
        }
    }
}
