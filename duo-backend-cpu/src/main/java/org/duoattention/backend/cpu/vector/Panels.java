package org.duoattention.backend.cpu.vector;

import static jdk.incubator.vector.VectorOperators.B2I;
import static jdk.incubator.vector.VectorOperators.I2F;
import static jdk.incubator.vector.VectorOperators.LSHR;
import static org.duoattention.backend.cpu.vector.Simd.B;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.I;
import static org.duoattention.backend.cpu.vector.Simd.L;
import static org.duoattention.backend.cpu.vector.Simd.PANEL;
import static org.duoattention.backend.cpu.vector.Tile.BLOCK;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import org.duoattention.backend.cpu.kernel.KvHead;
import org.duoattention.quant.kv.KvCodec;

/** A block of keys and values as floats in scratch, in the order that {@link Tile} reads. */
final class Panels {
    private static final ValueLayout.OfShort I16 = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private Panels() {}

    /**
     * Keys of {@code lanes} slots from {@code base} on, as {@code [panel][dim][PANEL]}.
     *
     * @param base a multiple of {@link Simd#PANEL}
     * @param lanes a multiple of {@link Simd#PANEL}
     */
    static void keys(KvHead head, long base, int lanes, float[] target, int at) {
        int dim = head.headDim();
        if (!head.isQuantized()) {
            Widen.run(head.dtype(), head.segment(), PanelLayout.panel(head, base), lanes * dim, target, at);
            return;
        }
        int group = head.grouped().group();
        for (int p = 0; p < lanes / PANEL; p++) {
            long slot = base + p * PANEL;
            int inBlock = (int) (slot % CodeLayout.SLOTS);
            long block = CodeLayout.keyBlock(head, slot);
            long codes = block + CodeLayout.keyPanel(head, inBlock);
            for (int g = 0; g < dim / group; g++) {
                long scales = block + CodeLayout.scales(g) + 2L * inBlock;
                int to = at + (p * dim + g * group) * PANEL;
                if (head.grouped().bits() == 8) {
                    keys8(head, codes + (long) g * group * PANEL, scales, target, to);
                } else {
                    keys4(head, codes + (long) g * group / 2 * PANEL, scales, target, to);
                }
            }
        }
    }

    private static void keys8(KvHead head, long codes, long scales, float[] target, int at) {
        MemorySegment memory = head.segment();
        for (int half = 0; half < PANEL; half += L) {
            FloatVector scale = Scales.load(memory, scales + 2L * half);
            FloatVector offset = Scales.load(memory, scales + 2L * half + CodeLayout.offsetsAfter(head));
            for (int d = 0; d < head.grouped().group(); d++) {
                bytes(memory, codes + (long) d * PANEL + half)
                        .fma(scale, offset)
                        .intoArray(target, at + d * PANEL + half);
            }
        }
    }

    private static void keys4(KvHead head, long codes, long scales, float[] target, int at) {
        MemorySegment memory = head.segment();
        for (int half = 0; half < PANEL; half += L) {
            FloatVector scale = Scales.load(memory, scales + 2L * half);
            FloatVector offset = Scales.load(memory, scales + 2L * half + CodeLayout.offsetsAfter(head));
            for (int d = 0; d < head.grouped().group(); d += 2) {
                IntVector pair = (IntVector) ByteVector.fromMemorySegment(
                                B, memory, codes + (long) d / 2 * PANEL + half, ByteOrder.LITTLE_ENDIAN)
                        .convertShape(B2I, I, 0);
                int to = at + d * PANEL + half;
                ((FloatVector) pair.and(0xf).convert(I2F, 0)).fma(scale, offset).intoArray(target, to);
                ((FloatVector) pair.lanewise(LSHR, 4).and(0xf).convert(I2F, 0))
                        .fma(scale, offset)
                        .intoArray(target, to + PANEL);
            }
        }
    }

    /** Codes of 8 bits. */
    private static FloatVector bytes(MemorySegment memory, long at) {
        return ((FloatVector) ((IntVector) ByteVector.fromMemorySegment(B, memory, at, ByteOrder.LITTLE_ENDIAN)
                        .convertShape(B2I, I, 0))
                .add(128)
                .convert(I2F, 0));
    }

    /**
     * Values of {@code count} slots from {@code base + skip} on, as {@code [panel][BLOCK][PANEL]} with the slot {@code base}
     * first; the last panel is padded with zeros.
     */
    static void values(KvHead head, long base, int skip, int count, float[] target, int at) {
        int dim = head.headDim();
        for (int j = skip; j < skip + count; j++) {
            for (int d = 0; d < dim; d += PANEL) {
                int to = at + d * BLOCK + j * PANEL;
                int some = Math.min(PANEL, dim - d);
                if (head.isQuantized()) {
                    codes(head, base + j, d, some, target, to);
                } else {
                    long from = PanelLayout.value(head, base + j)
                            + (long) d * head.dtype().bytes();
                    Widen.run(head.dtype(), head.segment(), from, some, target, to);
                }
                if (some < PANEL) {
                    Arrays.fill(target, to + some, to + PANEL, 0f);
                }
            }
        }
    }

    /** One panel of a quantised value row. */
    private static void codes(KvHead head, long slot, int d, int some, float[] target, int at) {
        MemorySegment memory = head.segment();
        int inBlock = (int) (slot % CodeLayout.SLOTS);
        long block = CodeLayout.valueBlock(head, slot);
        int group = head.grouped().group();
        long codes = block + CodeLayout.valuePanel(head, inBlock, d);
        long scales = block + CodeLayout.scales(d / group) + 2L * inBlock;
        if (some == PANEL && group % PANEL == 0) {
            FloatVector scale = FloatVector.broadcast(F, Float.float16ToFloat(memory.get(I16, scales)));
            FloatVector offset = FloatVector.broadcast(
                    F, Float.float16ToFloat(memory.get(I16, scales + CodeLayout.offsetsAfter(head))));
            if (head.grouped().bits() == 8) {
                bytes(memory, codes).fma(scale, offset).intoArray(target, at);
                bytes(memory, codes + L).fma(scale, offset).intoArray(target, at + L);
            } else {
                IntVector pair = (IntVector) ByteVector.fromMemorySegment(B, memory, codes, ByteOrder.LITTLE_ENDIAN)
                        .convertShape(B2I, I, 0);
                ((FloatVector) pair.and(0xf).convert(I2F, 0)).fma(scale, offset).intoArray(target, at);
                ((FloatVector) pair.lanewise(LSHR, 4).and(0xf).convert(I2F, 0))
                        .fma(scale, offset)
                        .intoArray(target, at + L);
            }
            return;
        }
        for (int i = 0; i < some; i++) {
            int byteOf = head.grouped().bits() == 8 ? i : i % L;
            byte bits = memory.get(ValueLayout.JAVA_BYTE, codes + byteOf);
            int code = head.grouped().bits() == 8 ? bits + 128 : bits >> (i < L ? 0 : 4) & 0xf;
            long own = block + CodeLayout.scales((d + i) / group) + 2L * inBlock;
            short offset = memory.get(I16, own + CodeLayout.offsetsAfter(head));
            target[at + i] = KvCodec.value(code, offset, memory.get(I16, own));
        }
    }
}
