package org.duoattention.backend.cpu.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.quant.kv.KvCodec;

/** The plain layout: key row {@code s} and value row {@code s} of {@code headDim} elements each, rows without padding; quantised ones are as {@link QuantizedRow} says. */
public final class RowLayout implements KvLayout {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfShort I16 = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    @Override
    public long keyBytes(BlockFormat format, int headDim, long slots) {
        return Math.multiplyExact(slots, format.rowBytes(headDim));
    }

    @Override
    public long valueBytes(BlockFormat format, int headDim, long slots) {
        return keyBytes(format, headDim, slots);
    }

    @Override
    public void store(
            Matrix k,
            Matrix v,
            int column,
            long firstRow,
            long rows,
            KvHead head,
            long firstSlot,
            Workspace workspace) {
        if (head.isQuantized()) {
            KvCodec codec = new KvCodec(head.grouped());
            float[] row = new float[head.headDim()];
            for (long r = 0; r < rows; r++) {
                MemorySegment.copy(k.segment(), F32, k.at(firstRow + r, column), row, 0, row.length);
                QuantizedRow.write(codec, row, head.segment(), key(head, firstSlot + r));
                MemorySegment.copy(v.segment(), F32, v.at(firstRow + r, column), row, 0, row.length);
                QuantizedRow.write(codec, row, head.segment(), value(head, firstSlot + r));
            }
            return;
        }
        for (long r = 0; r < rows; r++) {
            narrow(k, firstRow + r, column, head, key(head, firstSlot + r));
            narrow(v, firstRow + r, column, head, value(head, firstSlot + r));
        }
    }

    private static void narrow(Matrix source, long row, int column, KvHead head, long target) {
        MemorySegment from = source.segment();
        long at = source.at(row, column);
        MemorySegment to = head.segment();
        int dim = head.headDim();
        switch (head.dtype()) {
            case F32 -> MemorySegment.copy(from, at, to, target, 4L * dim);
            case F16 -> {
                for (int d = 0; d < dim; d++) {
                    to.set(I16, target + 2L * d, Float.floatToFloat16(from.get(F32, at + 4L * d)));
                }
            }
            default -> {
                for (int d = 0; d < dim; d++) {
                    to.set(I16, target + 2L * d, BFloat16.round(from.get(F32, at + 4L * d)));
                }
            }
        }
    }

    @Override
    public void move(KvHead head, long from, long to) {
        long bytes = rowBytes(head);
        MemorySegment memory = head.segment();
        MemorySegment.copy(memory, key(head, from), memory, key(head, to), bytes);
        MemorySegment.copy(memory, value(head, from), memory, value(head, to), bytes);
    }

    @Override
    public void copyOut(KvHead head, long firstSlot, long slots, MemorySegment target, long targetOffset) {
        long bytes = rowBytes(head);
        for (long s = 0; s < slots; s++) {
            long at = targetOffset + 2 * s * bytes;
            MemorySegment.copy(head.segment(), key(head, firstSlot + s), target, at, bytes);
            MemorySegment.copy(head.segment(), value(head, firstSlot + s), target, at + bytes, bytes);
        }
    }

    @Override
    public void copyIn(MemorySegment source, long sourceOffset, KvHead head, long firstSlot, long slots) {
        long bytes = rowBytes(head);
        for (long s = 0; s < slots; s++) {
            long at = sourceOffset + 2 * s * bytes;
            MemorySegment.copy(source, at, head.segment(), key(head, firstSlot + s), bytes);
            MemorySegment.copy(source, at + bytes, head.segment(), value(head, firstSlot + s), bytes);
        }
    }

    private static long rowBytes(KvHead head) {
        return head.format().rowBytes(head.headDim());
    }

    /** The values of a key or value row at a byte offset. */
    public static void read(KvHead head, long at, float[] row) {
        if (head.isQuantized()) {
            QuantizedRow.read(head.grouped(), head.segment(), at, row);
            return;
        }
        for (int d = 0; d < row.length; d++) {
            row[d] = switch (head.dtype()) {
                case F32 -> head.segment().get(F32, at + 4L * d);
                case F16 -> Float.float16ToFloat(head.segment().get(I16, at + 2L * d));
                default -> BFloat16.widen(head.segment().get(I16, at + 2L * d));
            };
        }
    }

    /** Byte offset of a slot's key row. */
    public static long key(KvHead head, long slot) {
        return head.keyOffset() + slot * rowBytes(head);
    }

    /** Byte offset of a slot's value row. */
    public static long value(KvHead head, long slot) {
        return head.valueOffset() + slot * rowBytes(head);
    }
}
