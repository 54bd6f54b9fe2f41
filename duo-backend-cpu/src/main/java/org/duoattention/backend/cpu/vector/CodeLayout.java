package org.duoattention.backend.cpu.vector;

import static org.duoattention.backend.cpu.vector.Simd.B;
import static org.duoattention.backend.cpu.vector.Simd.L;
import static org.duoattention.backend.cpu.vector.Simd.PANEL;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.backend.cpu.kernel.KvHead;
import org.duoattention.backend.cpu.kernel.Matrix;
import org.duoattention.backend.cpu.kernel.QuantizedRow;
import org.duoattention.backend.cpu.kernel.Workspace;

/**
 * Quantised keys and values in blocks of {@link #SLOTS} slots, each in the order in which attention reads it: scales
 * {@code [group][SLOTS]} and offsets {@code [group][SLOTS]} as F16, then codes, so that a head is two streams of ascending addresses.
 *
 * <ul>
 *   <li>Codes of keys: {@code [panel of slots][dim][PANEL]} with 8 bits. With 4 bits {@code [panel of slots][dim / 2][PANEL]}
 *       bytes, each with two consecutive dimensions of one slot, the first in the lower half.
 *   <li>Codes of values: {@code [panel of dims][SLOTS][PANEL]} with 8 bits. With 4 bits {@code [panel of dims][SLOTS][L]} bytes,
 *       each with dimensions {@code i} and {@code i + L} of the panel. The last panel may be padded.
 * </ul>
 *
 * <p>Codes of 8 bits are stored minus 128, as signed bytes. No byte is shared by two slots, so threads may store different slots.
 */
final class CodeLayout {
    /** Slots of a block; a multiple of every panel. */
    static final int SLOTS = 64;

    /** Bytes that reading the last codes goes beyond them: vectors of bytes have at least 64 bits. */
    private static final int BEYOND = B.length() - L;

    private static final ValueLayout.OfByte I8 = ValueLayout.JAVA_BYTE;
    private static final ValueLayout.OfShort I16 = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private CodeLayout() {}

    /** {@code headDim} rounded up to whole panels. */
    static int width(int headDim) {
        return (headDim + PANEL - 1) / PANEL * PANEL;
    }

    private static long blockBytes(BlockFormat.Grouped format, int headDim, int width) {
        return (long) SLOTS * width * format.bits() / 8 + (long) headDim / format.group() * SLOTS * 4;
    }

    /** Bytes of the keys of a head, or of its values when {@code width} is padded. */
    static long bytes(BlockFormat.Grouped format, int headDim, int width, long slots) {
        long blocks = Math.addExact(slots, SLOTS - 1L) / SLOTS;
        return Math.addExact(Math.multiplyExact(blocks, blockBytes(format, headDim, width)), BEYOND);
    }

    /** Byte offset of the block of keys that holds a slot. */
    static long keyBlock(KvHead head, long slot) {
        return head.keyOffset() + slot / SLOTS * blockBytes(head.grouped(), head.headDim(), head.headDim());
    }

    /** Byte offset of the block of values that holds a slot. */
    static long valueBlock(KvHead head, long slot) {
        return head.valueOffset() + slot / SLOTS * blockBytes(head.grouped(), head.headDim(), width(head.headDim()));
    }

    /** Byte offset, in a block, of the codes. */
    private static long codesAt(KvHead head) {
        return 2 * offsetsAfter(head);
    }

    /** Byte offset, in a block of keys, of the codes of a panel of slots. */
    static long keyPanel(KvHead head, int inBlock) {
        return codesAt(head)
                + (long) inBlock
                        / PANEL
                        * PANEL
                        * head.headDim()
                        * head.grouped().bits()
                        / 8;
    }

    /** Byte offset, in a block of values, of a slot's codes in a panel of dimensions. */
    static long valuePanel(KvHead head, int inBlock, int d) {
        long row = (long) d / PANEL * SLOTS + inBlock;
        return codesAt(head) + row * PANEL * head.grouped().bits() / 8;
    }

    /** Byte offset, in a block, of the scales of a group. */
    static long scales(int group) {
        return 2L * group * SLOTS;
    }

    /** Bytes from the scales of a group to its offsets. */
    static long offsetsAfter(KvHead head) {
        return (long) head.headDim() / head.grouped().group() * SLOTS * 2;
    }

    /** Byte offset, in a block of keys, of a code. */
    private static long keyCode(KvHead head, int inBlock, int d) {
        int row = head.grouped().bits() == 8 ? d : d / 2;
        return keyPanel(head, inBlock) + (long) row * PANEL + inBlock % PANEL;
    }

    /** Byte offset, in a block of values, of a code. */
    private static long valueCode(KvHead head, int inBlock, int d) {
        return valuePanel(head, inBlock, d) + d % (head.grouped().bits() == 8 ? PANEL : L);
    }

    static void store(
            Matrix k,
            Matrix v,
            int column,
            long firstRow,
            long rows,
            KvHead head,
            long firstSlot,
            Workspace workspace) {
        Encoder encoder = Encoder.of(head.grouped(), head.headDim(), workspace);
        for (long r = 0; r < rows; r++) {
            encoder.encode(k.segment(), k.at(firstRow + r, column));
            putKey(head, firstSlot + r, encoder.codes, encoder.scales, encoder.offsets);
            encoder.encode(v.segment(), v.at(firstRow + r, column));
            putValue(head, firstSlot + r, encoder.codes, encoder.scales, encoder.offsets);
        }
    }

    private static void putKey(KvHead head, long slot, int[] codes, short[] scales, short[] offsets) {
        MemorySegment memory = head.segment();
        int inBlock = (int) (slot % SLOTS);
        long block = keyBlock(head, slot);
        long at = block + keyCode(head, inBlock, 0);
        if (head.grouped().bits() == 8) {
            for (int d = 0; d < head.headDim(); d++) {
                memory.set(I8, at + (long) d * PANEL, (byte) (codes[d] - 128));
            }
        } else {
            for (int d = 0; d < head.headDim(); d += 2) {
                memory.set(I8, at + (long) d / 2 * PANEL, (byte) (codes[d] | codes[d + 1] << 4));
            }
        }
        putScales(head, block + scales(0) + 2L * inBlock, scales, offsets);
    }

    private static void putValue(KvHead head, long slot, int[] codes, short[] scales, short[] offsets) {
        MemorySegment memory = head.segment();
        int inBlock = (int) (slot % SLOTS);
        long block = valueBlock(head, slot);
        for (int p = 0; p < head.headDim(); p += PANEL) {
            long at = block + valueCode(head, inBlock, p);
            int some = Math.min(PANEL, head.headDim() - p);
            if (head.grouped().bits() == 8) {
                for (int d = 0; d < some; d++) {
                    memory.set(I8, at + d, (byte) (codes[p + d] - 128));
                }
            } else {
                for (int d = 0; d < L; d++) {
                    int low = d < some ? codes[p + d] : 0;
                    int high = d + L < some ? codes[p + d + L] : 0;
                    memory.set(I8, at + d, (byte) (low | high << 4));
                }
            }
        }
        putScales(head, block + scales(0) + 2L * inBlock, scales, offsets);
    }

    private static void putScales(KvHead head, long at, short[] scales, short[] offsets) {
        for (int g = 0; g < head.headDim() / head.grouped().group(); g++) {
            head.segment().set(I16, at + 2L * g * SLOTS, scales[g]);
            head.segment().set(I16, at + 2L * g * SLOTS + offsetsAfter(head), offsets[g]);
        }
    }

    private static int code(KvHead head, long at, int shift) {
        byte bits = head.segment().get(I8, at);
        return head.grouped().bits() == 8 ? bits + 128 : bits >> shift & 0xf;
    }

    private static void getKey(KvHead head, long slot, int[] codes, short[] scales, short[] offsets) {
        int inBlock = (int) (slot % SLOTS);
        long block = keyBlock(head, slot);
        for (int d = 0; d < head.headDim(); d++) {
            codes[d] = code(head, block + keyCode(head, inBlock, d), 4 * (d & 1));
        }
        getScales(head, block + scales(0) + 2L * inBlock, scales, offsets);
    }

    private static void getValue(KvHead head, long slot, int[] codes, short[] scales, short[] offsets) {
        int inBlock = (int) (slot % SLOTS);
        long block = valueBlock(head, slot);
        for (int d = 0; d < head.headDim(); d++) {
            codes[d] = code(head, block + valueCode(head, inBlock, d), d % PANEL < L ? 0 : 4);
        }
        getScales(head, block + scales(0) + 2L * inBlock, scales, offsets);
    }

    private static void getScales(KvHead head, long at, short[] scales, short[] offsets) {
        for (int g = 0; g < head.headDim() / head.grouped().group(); g++) {
            scales[g] = head.segment().get(I16, at + 2L * g * SLOTS);
            offsets[g] = head.segment().get(I16, at + 2L * g * SLOTS + offsetsAfter(head));
        }
    }

    static void move(KvHead head, long from, long to) {
        Encoder row = new Encoder(head.grouped(), head.headDim());
        getKey(head, from, row.codes, row.scales, row.offsets);
        putKey(head, to, row.codes, row.scales, row.offsets);
        getValue(head, from, row.codes, row.scales, row.offsets);
        putValue(head, to, row.codes, row.scales, row.offsets);
    }

    static void copyOut(KvHead head, long firstSlot, long slots, MemorySegment target, long targetOffset) {
        Encoder row = new Encoder(head.grouped(), head.headDim());
        long bytes = head.format().rowBytes(head.headDim());
        for (long s = 0; s < slots; s++) {
            getKey(head, firstSlot + s, row.codes, row.scales, row.offsets);
            write(head, row, target, targetOffset + 2 * s * bytes);
            getValue(head, firstSlot + s, row.codes, row.scales, row.offsets);
            write(head, row, target, targetOffset + (2 * s + 1) * bytes);
        }
    }

    private static void write(KvHead head, Encoder row, MemorySegment target, long at) {
        for (int d = 0; d < head.headDim(); d++) {
            QuantizedRow.code(head.grouped(), target, at, d, row.codes[d]);
        }
        for (int g = 0; g < head.headDim() / head.grouped().group(); g++) {
            long scales = at + QuantizedRow.scaleAt(head.grouped(), head.headDim(), g);
            target.set(I16, scales, row.scales[g]);
            target.set(I16, scales + 2, row.offsets[g]);
        }
    }

    static void copyIn(MemorySegment source, long sourceOffset, KvHead head, long firstSlot, long slots) {
        Encoder row = new Encoder(head.grouped(), head.headDim());
        long bytes = head.format().rowBytes(head.headDim());
        for (long s = 0; s < slots; s++) {
            read(head, row, source, sourceOffset + 2 * s * bytes);
            putKey(head, firstSlot + s, row.codes, row.scales, row.offsets);
            read(head, row, source, sourceOffset + (2 * s + 1) * bytes);
            putValue(head, firstSlot + s, row.codes, row.scales, row.offsets);
        }
    }

    private static void read(KvHead head, Encoder row, MemorySegment source, long at) {
        for (int d = 0; d < head.headDim(); d++) {
            row.codes[d] = QuantizedRow.code(head.grouped(), source, at, d);
        }
        for (int g = 0; g < head.headDim() / head.grouped().group(); g++) {
            long scales = at + QuantizedRow.scaleAt(head.grouped(), head.headDim(), g);
            row.scales[g] = source.get(I16, scales);
            row.offsets[g] = source.get(I16, scales + 2);
        }
    }
}
