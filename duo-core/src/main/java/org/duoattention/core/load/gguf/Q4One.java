package org.duoattention.core.load.gguf;

import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;

/** Q4_1: 32 values {@code d * q + m}; d and m as halves, then 16 bytes with q of values i and i + 16 in byte i. */
record Q4One() implements BlockDecoder {
    private static final BlockFormat.Grouped FORMAT = new BlockFormat.Grouped(4, 32, true, DType.F32);

    @Override
    public BlockFormat.Grouped format() {
        return FORMAT;
    }

    @Override
    public void decode(byte[] blocks, int at, DecodedRow row, int element) {
        row.scale(element, BlockBytes.half(blocks, at));
        row.offset(element, BlockBytes.half(blocks, at + 2));
        BlockBytes.splitNibbles(blocks, at + 4, 16, row, element);
    }
}
