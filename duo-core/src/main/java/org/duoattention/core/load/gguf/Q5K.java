package org.duoattention.core.load.gguf;

import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;

/**
 * Q5_K: 256 values in eight groups, scales as {@link KScales}, then the fifth bits (bit j of byte i is for value i of group
 * j), then the lower four as in Q4_K.
 */
record Q5K() implements BlockDecoder {
    private static final BlockFormat.Grouped FORMAT = new BlockFormat.Grouped(8, 32, true, DType.F32);

    @Override
    public BlockFormat.Grouped format() {
        return FORMAT;
    }

    @Override
    public void decode(byte[] blocks, int at, DecodedRow row, int element) {
        KScales.decode(blocks, at, row, element);
        int high = at + KScales.BYTES;
        int low = high + 32;
        for (int group = 0; group < 8; group++) {
            int shift = group % 2 * 4;
            for (int i = 0; i < 32; i++) {
                int code = blocks[low + group / 2 * 32 + i] >> shift & 0xf | (blocks[high + i] >> group & 1) << 4;
                row.set(element + group * 32 + i, code);
            }
        }
    }
}
