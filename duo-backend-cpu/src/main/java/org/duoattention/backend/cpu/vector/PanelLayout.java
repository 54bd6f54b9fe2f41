package org.duoattention.backend.cpu.vector;

import static org.duoattention.backend.cpu.vector.Simd.PANEL;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.backend.cpu.kernel.BFloat16;
import org.duoattention.backend.cpu.kernel.KvHead;
import org.duoattention.backend.cpu.kernel.KvLayout;
import org.duoattention.backend.cpu.kernel.Matrix;
import org.duoattention.backend.cpu.kernel.Workspace;

/**
 * Keys in panels of {@link Simd#PANEL} slots, {@code [panel][headDim][PANEL]}: lanes are slots, so products of queries and
 * keys need no sums across lanes. Values as rows, {@code [slot][headDim]}: lanes are dimensions. Both are streams of
 * ascending addresses when read in order of slots, and both are what {@link MicroKernel} wants. The number of slots is
 * rounded up to whole panels. Quantised heads are laid out by {@link CodeLayout}.
 *
 * <p>Neighbouring slots share cache lines of keys, but every element is stored by itself, so threads may store
 * different slots.
 */
final class PanelLayout implements KvLayout {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfInt I32 = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfShort I16 = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    @Override
    public long keyBytes(BlockFormat format, int headDim, long slots) {
        if (format instanceof BlockFormat.Grouped grouped) {
            return CodeLayout.bytes(grouped, headDim, headDim, slots);
        }
        long panels = Math.addExact(slots, PANEL - 1L) / PANEL;
        return Math.multiplyExact(panels, PANEL * format.rowBytes(headDim));
    }

    @Override
    public long valueBytes(BlockFormat format, int headDim, long slots) {
        return format instanceof BlockFormat.Grouped grouped
                ? CodeLayout.bytes(grouped, headDim, CodeLayout.width(headDim), slots)
                : keyBytes(format, headDim, slots);
    }

    /** Byte offset of the key panel that holds a slot. */
    static long panel(KvHead head, long slot) {
        return head.keyOffset()
                + slot / PANEL * PANEL * head.headDim() * head.dtype().bytes();
    }

    /** Byte offset of the first element of a slot's key; the next one is {@code PANEL} elements further. */
    private static long key(KvHead head, long slot) {
        return panel(head, slot) + slot % PANEL * head.dtype().bytes();
    }

    /** Byte offset of a slot's value row. */
    static long value(KvHead head, long slot) {
        return head.valueOffset() + slot * head.headDim() * head.dtype().bytes();
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
            CodeLayout.store(k, v, column, firstRow, rows, head, firstSlot, workspace);
            return;
        }
        for (long r = 0; r < rows; r++) {
            long slot = firstSlot + r;
            narrow(k, firstRow + r, column, head, key(head, slot), PANEL);
            narrow(v, firstRow + r, column, head, value(head, slot), 1);
        }
    }

    private static void narrow(Matrix source, long row, int column, KvHead head, long target, int step) {
        MemorySegment from = source.segment();
        long at = source.at(row, column);
        MemorySegment to = head.segment();
        int dim = head.headDim();
        long bytes = (long) step * head.dtype().bytes();
        switch (head.dtype()) {
            case F32 -> {
                for (int d = 0; d < dim; d++) {
                    to.set(F32, target + d * bytes, from.get(F32, at + 4L * d));
                }
            }
            case F16 -> {
                for (int d = 0; d < dim; d++) {
                    to.set(I16, target + d * bytes, Float.floatToFloat16(from.get(F32, at + 4L * d)));
                }
            }
            default -> {
                for (int d = 0; d < dim; d++) {
                    to.set(I16, target + d * bytes, BFloat16.round(from.get(F32, at + 4L * d)));
                }
            }
        }
    }

    @Override
    public void move(KvHead head, long from, long to) {
        if (head.isQuantized()) {
            CodeLayout.move(head, from, to);
            return;
        }
        MemorySegment memory = head.segment();
        int bytes = head.dtype().bytes();
        copy(memory, key(head, from), PANEL * bytes, memory, key(head, to), PANEL * bytes, head.headDim(), bytes);
        MemorySegment.copy(memory, value(head, from), memory, value(head, to), (long) head.headDim() * bytes);
    }

    @Override
    public void copyOut(KvHead head, long firstSlot, long slots, MemorySegment target, long targetOffset) {
        if (head.isQuantized()) {
            CodeLayout.copyOut(head, firstSlot, slots, target, targetOffset);
            return;
        }
        int bytes = head.dtype().bytes();
        long row = (long) head.headDim() * bytes;
        for (long s = 0; s < slots; s++) {
            long at = targetOffset + 2 * s * row;
            long slot = firstSlot + s;
            copy(head.segment(), key(head, slot), PANEL * bytes, target, at, bytes, head.headDim(), bytes);
            MemorySegment.copy(head.segment(), value(head, slot), target, at + row, row);
        }
    }

    @Override
    public void copyIn(MemorySegment source, long sourceOffset, KvHead head, long firstSlot, long slots) {
        if (head.isQuantized()) {
            CodeLayout.copyIn(source, sourceOffset, head, firstSlot, slots);
            return;
        }
        int bytes = head.dtype().bytes();
        long row = (long) head.headDim() * bytes;
        for (long s = 0; s < slots; s++) {
            long at = sourceOffset + 2 * s * row;
            long slot = firstSlot + s;
            copy(source, at, bytes, head.segment(), key(head, slot), PANEL * bytes, head.headDim(), bytes);
            MemorySegment.copy(source, at + row, head.segment(), value(head, slot), row);
        }
    }

    /** Copies {@code count} elements of {@code bytes} bytes between strides in bytes. */
    private static void copy(
            MemorySegment source,
            long from,
            int fromStride,
            MemorySegment target,
            long to,
            int toStride,
            int count,
            int bytes) {
        if (bytes == 4) {
            for (int i = 0; i < count; i++) {
                target.set(I32, to + (long) i * toStride, source.get(I32, from + (long) i * fromStride));
            }
        } else {
            for (int i = 0; i < count; i++) {
                target.set(I16, to + (long) i * toStride, source.get(I16, from + (long) i * fromStride));
            }
        }
    }
}
