package org.duoattention.core.load.gguf;

import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;

/** Q4_K: 256 values in eight groups, scales as {@link KScales}, then four times 32 bytes that hold two groups each. */
record Q4K() implements BlockDecoder {
    private static final BlockFormat.Grouped FORMAT = new BlockFormat.Grouped(4, 32, true, DType.F32);

    @Override
    public BlockFormat.Grouped format() {
        return FORMAT;
    }

    @Override
    public void decode(byte[] blocks, int at, DecodedRow row, int element) {
        KScales.decode(blocks, at, row, element);
        for (int i = 0; i < 4; i++) {
            BlockBytes.splitNibbles(blocks, at + KScales.BYTES + 32 * i, 32, row, element + 64 * i);
        }
    }
}
