package org.duoattention.backend.cpu.vector;

import static org.duoattention.backend.cpu.vector.Attention.BLOCK;
import static org.duoattention.backend.cpu.vector.CodeLayout.SLOTS;
import static org.duoattention.backend.cpu.vector.Simd.PANEL;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.duoattention.backend.cpu.kernel.KvHead;

/**
 * With quantised elements: {@code value = offset + code * scale}. For keys, {@code q k = offset sum(q) + scale (q c)}; for values,
 * {@code p v = p offset + (p scale) c}. So codes are multiplied as they are, and scales and offsets cost a step per slot and
 * group instead of one per element.
 */
final class CodedProducts implements DirectProducts {
    /** Elements from one row's weights to the next: those of a block, then the sum with the offsets. */
    static final int WEIGHTS = SLOTS + 16;

    private final Attention.Scratch at;
    private int bits;
    private int dim;
    private int group;
    private float[] m = {};
    /** Scales, then offsets, of a group in a block. */
    private int scales;
    /** {@code [group][rows]}: sums of queries. */
    private int querySums;
    /** {@code [rows][WEIGHTS]}. */
    private int weights;

    CodedProducts(Attention.Scratch at) {
        this.at = at;
    }

    @Override
    public void prepare(KvHead head, int free) {
        bits = head.grouped().bits();
        group = head.grouped().group();
        dim = head.headDim();
        m = at.memory;
        scales = free;
        weights = scales + 2 * SLOTS;
        querySums = weights + at.rows * WEIGHTS;
    }

    /** Whether panels and groups fit each other. */
    static boolean suits(KvHead head) {
        return head.headDim() % PANEL == 0 && head.grouped().group() % PANEL == 0;
    }

    static int extra(int rows, int headDim) {
        return 2 * SLOTS + rows * (WEIGHTS + headDim);
    }

    @Override
    public int unit() {
        return SLOTS;
    }

    @Override
    public void begin() {
        for (int r = 0; r < at.rows; r++) {
            for (int g = 0; g < dim / group; g++) {
                float sum = 0;
                for (int d = g * group; d < (g + 1) * group; d++) {
                    int q = at.query(r, d, dim);
                    sum += m[q];
                    if (bits == 4 && (d & 1) == 1) {
                        m[q] *= DirectInt4.ODD;
                    }
                }
                m[querySums + g * at.rows + r] = sum;
            }
        }
    }

    @Override
    public void keys(KvHead head, long base, int lanes) {
        MemorySegment codes = head.segment();
        int tile = at.tile;
        for (int r = 0; r < at.rows; r++) {
            int s = at.products + r * BLOCK;
            Arrays.fill(m, s, s + lanes, m[at.starts + r]);
        }
        for (int b = 0; b < lanes; b += SLOTS) {
            long block = CodeLayout.keyBlock(head, base + b);
            for (int g = 0; g < dim / group; g++) {
                Scales.block(head, block + CodeLayout.keyScales(head, g), m, scales);
                for (int p = b; p < Math.min(lanes, b + SLOTS); p += PANEL) {
                    long x = block + CodeLayout.keyPanel(head, p - b) + (long) g * group * PANEL * bits / 8;
                    int scale = scales + p - b;
                    for (int r = 0; r < at.rows; r += tile) {
                        int q = at.queries + r * dim + g * group * tile;
                        int sum = querySums + g * at.rows + r;
                        int s = at.products + r * BLOCK + p;
                        if (bits == 8) {
                            DirectInt8.keys(tile, m, q, codes, x, group, scale, sum, s);
                        } else {
                            DirectInt4.keys(tile, m, q, codes, x, group, scale, sum, s);
                        }
                    }
                }
            }
        }
    }

    @Override
    public void values(KvHead head, long base, int skip, int count) {
        MemorySegment codes = head.segment();
        int tile = at.tile;
        int lanes = (skip + count + PANEL - 1) / PANEL * PANEL;
        for (int b = skip / SLOTS * SLOTS; b < lanes; b += SLOTS) {
            long block = CodeLayout.valueBlock(head, base + b);
            int some = Math.min(SLOTS, lanes - b);
            for (int g = 0; g < dim / group; g++) {
                Scales.block(head, block + CodeLayout.valueScales(head, g), m, scales);
                for (int r = 0; r < at.rows; r++) {
                    int w = weights + r * WEIGHTS;
                    m[w + SLOTS] = Scales.weigh(m, at.products + r * BLOCK + b, some, scales, w);
                }
                for (int d = g * group; d < (g + 1) * group; d += PANEL) {
                    long x = block + (long) d * SLOTS * bits / 8;
                    for (int r = 0; r < at.rows; r += tile) {
                        int w = weights + r * WEIGHTS;
                        int o = at.sums + r * dim + d;
                        if (bits == 8) {
                            DirectInt8.values(tile, m, w, codes, x, some, o, dim);
                        } else {
                            DirectInt4.values(tile, m, w, codes, x, some, o, dim);
                        }
                    }
                }
            }
        }
    }
}
