package org.duoattention.core.load.gguf;

import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;

/** Q8_0: 32 values {@code d * q}; d as half, then q as signed bytes. */
record Q8Zero() implements BlockDecoder {
    private static final BlockFormat.Grouped FORMAT = new BlockFormat.Grouped(8, 32, false, DType.F16);

    @Override
    public BlockFormat.Grouped format() {
        return FORMAT;
    }

    @Override
    public void decode(byte[] blocks, int at, DecodedRow row, int element) {
        row.scale(element, BlockBytes.half(blocks, at));
        for (int i = 0; i < 32; i++) {
            row.set(element + i, blocks[at + 2 + i] + 128);
        }
    }
}
