package org.duoattention.backend.cpu.vector;

import static org.duoattention.backend.cpu.vector.QuantizedLayout.BLOCK;
import static org.duoattention.backend.cpu.vector.Simd.L;
import static org.duoattention.backend.cpu.vector.Simd.PANEL;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.backend.cpu.kernel.QuantizedWeight;

/** Single rows of quantised weights as floats, for embeddings. */
final class Dequantize {
    private static final ValueLayout.OfShort I16 = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private Dequantize() {}

    /** All columns of a row, each rounded once. */
    static void row(QuantizedWeight weight, long row, float[] target) {
        QuantizedLayout layout = QuantizedLayout.of(weight.spec());
        BlockFormat.Grouped format = weight.format();
        MemorySegment w = weight.segment();
        int inBlock = (int) (row % BLOCK);
        int panel = inBlock / PANEL;
        int lane = inBlock % L;
        int upper = inBlock % PANEL / L;
        boolean half = format.scaleType() == DType.F16;
        long scale = (long) panel * layout.scaleBytes() + (half ? 4L * lane + 2L * upper : 4L * (upper * L + lane));
        long code = (long) panel * layout.wordBytes()
                + (format.bits() == 4 ? 4L * lane + 2L * upper : 4L * (upper * L + lane));
        long at = layout.blockAt(row);
        for (int g = 0; g < layout.groups(); g++, at += layout.groupBytes()) {
            double factor = number(w, at + layout.scalesAt() + scale, half);
            double offset =
                    format.asymmetric() ? number(w, at + layout.offsetsAt() + scale, half) : -format.centre() * factor;
            for (int k = 0; k < format.group(); k++) {
                long word = at + code + (long) (k / 4) * 2 * layout.wordBytes();
                int value = format.bits() == 4
                        ? w.get(I16, word) >> 4 * (k & 3) & 0xf
                        : w.get(ValueLayout.JAVA_BYTE, word + (k & 3)) & 0xff;
                target[g * format.group() + k] = (float) (offset + value * factor);
            }
        }
    }

    private static float number(MemorySegment memory, long at, boolean half) {
        return half ? Float.float16ToFloat(memory.get(I16, at)) : memory.get(F32, at);
    }
}
