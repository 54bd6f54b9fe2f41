package org.duoattention.core.load.gguf;

/**
 * The start of a Q4_K or Q5_K block: d and dmin as halves, then eight scales and eight minima of 6 bits in 12 bytes. Group j
 * has the scale {@code d * scale[j]} and the offset {@code -dmin * minimum[j]}.
 */
final class KScales {
    /** Bytes of all that. */
    static final int BYTES = 16;

    private static final int GROUPS = 8;
    private static final int GROUP = 32;

    private KScales() {}

    static void decode(byte[] blocks, int at, DecodedRow row, int element) {
        float d = BlockBytes.half(blocks, at);
        float min = BlockBytes.half(blocks, at + 2);
        int packed = at + 4;
        for (int j = 0; j < GROUPS; j++) {
            int scale;
            int minimum;
            if (j < 4) {
                scale = blocks[packed + j] & 0x3f;
                minimum = blocks[packed + 4 + j] & 0x3f;
            } else {
                // The lower four bits of the last four are packed in pairs, their upper two with the first four.
                int low = blocks[packed + 4 + j];
                scale = low & 0xf | blocks[packed + j - 4] >> 2 & 0x30;
                minimum = low >> 4 & 0xf | blocks[packed + j] >> 2 & 0x30;
            }
            row.scale(element + j * GROUP, d * scale);
            row.offset(element + j * GROUP, -(min * minimum));
        }
    }
}
