package org.duoattention.core.load.gguf;

import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;

/** Q4_0: 32 values {@code d * (q - 8)}; d as half, then 16 bytes with q of values i and i + 16 in byte i. */
record Q4Zero() implements BlockDecoder {
    private static final BlockFormat.Grouped FORMAT = new BlockFormat.Grouped(4, 32, false, DType.F16);

    @Override
    public BlockFormat.Grouped format() {
        return FORMAT;
    }

    @Override
    public void decode(byte[] blocks, int at, DecodedRow row, int element) {
        row.scale(element, BlockBytes.half(blocks, at));
        BlockBytes.splitNibbles(blocks, at + 2, 16, row, element);
    }
}
