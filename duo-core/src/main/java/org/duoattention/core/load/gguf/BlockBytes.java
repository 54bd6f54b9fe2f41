package org.duoattention.core.load.gguf;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;

/** What several block types have in common. */
final class BlockBytes {
    private static final VarHandle SHORTS =
            MethodHandles.byteArrayViewVarHandle(short[].class, ByteOrder.LITTLE_ENDIAN);

    private BlockBytes() {}

    /** A half-precision number. */
    static float half(byte[] bytes, int at) {
        return Float.float16ToFloat((short) SHORTS.get(bytes, at));
    }

    /**
     * Splits {@code count} bytes into their halves: the lower ones become the codes of as many elements, the upper ones
     * those of as many that follow.
     */
    static void splitNibbles(byte[] bytes, int at, int count, DecodedRow row, int element) {
        for (int i = 0; i < count; i += 2) {
            int first = bytes[at + i];
            int second = bytes[at + i + 1];
            row.setPair(element + i, first & 0xf, second & 0xf);
            row.setPair(element + count + i, first >> 4 & 0xf, second >> 4 & 0xf);
        }
    }
}
