package org.duoattention.core.load.gguf;

import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;

/**
 * Q6_K: 256 values {@code d * scale * (q - 32)} in sixteen groups: 128 bytes with the lower four bits of q, 64 with the upper
 * two, sixteen scales as signed bytes, d as half. Each half of the block, 128 values, has four runs of 32, whose bits are
 * side by side.
 */
record Q6K() implements BlockDecoder {
    private static final BlockFormat.Grouped FORMAT = new BlockFormat.Grouped(8, 16, false, DType.F32);
    private static final int HIGH = 128;
    private static final int SCALES = HIGH + 64;
    private static final int D = SCALES + 16;
    /** From q centred at 32 to a code centred at 128. */
    private static final int SHIFT = 128 - 32;

    @Override
    public BlockFormat.Grouped format() {
        return FORMAT;
    }

    @Override
    public void decode(byte[] blocks, int at, DecodedRow row, int element) {
        float d = BlockBytes.half(blocks, at + D);
        for (int group = 0; group < 16; group++) {
            row.scale(element + group * 16, d * blocks[at + SCALES + group]);
        }
        for (int half = 0; half < 2; half++) {
            for (int run = 0; run < 4; run++) {
                int low = at + half * 64 + run % 2 * 32;
                int high = at + HIGH + half * 32;
                int target = element + half * 128 + run * 32;
                for (int i = 0; i < 32; i++) {
                    int q = blocks[low + i] >> run / 2 * 4 & 0xf | (blocks[high + i] >> 2 * run & 3) << 4;
                    row.set(target + i, q + SHIFT);
                }
            }
        }
    }
}
