package org.duoattention.backend.cpu.vector;

import static org.duoattention.backend.cpu.vector.CodeLayout.SLOTS;
import static org.duoattention.backend.cpu.vector.Simd.PANEL;

import java.lang.foreign.MemorySegment;
import org.duoattention.backend.cpu.kernel.KvHead;

/**
 * With quantised elements: {@code value = offset + code * scale}. For keys, {@code q k = offset sum(q) + scale (q c)}; for values,
 * {@code p v = p offset + (p scale) c}. So codes are multiplied as they are, and scales and offsets cost a step per slot and
 * group instead of one per element.
 */
final class CodedProducts implements DirectProducts {
    /** Elements from one row's weights to the next: those of a block, then the sum with the offsets. */
    private static final int WEIGHTS = SLOTS + 16;

    private final KvHead head;
    private final MemorySegment codes;
    private final int bits;
    private final int dim;
    private final int group;
    private final Attention.Scratch at;
    private final float[] m;
    /** Scales, then offsets, of a group in a block. */
    private final int scales;
    /** {@code [rows][WEIGHTS]}. */
    private final int weights;

    /** Uses {@code extra(rows)} floats of scratch from {@code free} on. */
    CodedProducts(KvHead head, Attention.Scratch at, int free) {
        this.head = head;
        this.at = at;
        codes = head.segment();
        bits = head.grouped().bits();
        group = head.grouped().group();
        dim = head.headDim();
        m = at.memory();
        scales = free;
        weights = free + 2 * SLOTS;
    }

    /** Whether panels and groups fit each other. */
    static boolean suits(KvHead head) {
        return head.headDim() % PANEL == 0 && head.grouped().group() % PANEL == 0;
    }

    static int extra(int rows) {
        return 2 * SLOTS + rows * WEIGHTS;
    }

    @Override
    public int unit() {
        return SLOTS;
    }

    @Override
    public void begin() {
        for (int r = 0; r < at.rows(); r++) {
            int q = at.queries() + r * at.queryStride();
            for (int g = 0; g < dim / group; g++) {
                float sum = 0;
                for (int d = g * group; d < (g + 1) * group; d++) {
                    sum += m[q + d];
                    if (bits == 4 && (d & 1) == 1) {
                        m[q + d] *= DirectInt4.ODD;
                    }
                }
                m[q + dim + g] = sum;
            }
        }
    }

    @Override
    public void keys(int first, int rows, long base, int lanes) {
        int q = at.queries() + first * at.queryStride();
        for (int b = 0; b < lanes; b += SLOTS) {
            long block = CodeLayout.keyBlock(head, base + b);
            for (int g = 0; g < dim / group; g++) {
                Scales.block(head, block + CodeLayout.keyScales(head, g), m, scales);
                for (int p = b; p < Math.min(lanes, b + SLOTS); p += PANEL) {
                    long x = block
                            + CodeLayout.keyPanel(head, p - b)
                            + (long) g * group * PANEL * bits / 8;
                    int s = at.products() + first * Attention.BLOCK + p;
                    int from = q + g * group;
                    int scale = scales + p - b;
                    int sum = q + dim + g;
                    if (bits == 8) {
                        DirectInt8.keys(
                                rows, m, from, at.queryStride(), codes, x, group, scale, sum, s, Attention.BLOCK);
                    } else {
                        DirectInt4.keys(
                                rows, m, from, at.queryStride(), codes, x, group, scale, sum, s, Attention.BLOCK);
                    }
                }
            }
        }
    }

    @Override
    public void values(int first, int rows, long base, int skip, int count) {
        int lanes = (skip + count + PANEL - 1) / PANEL * PANEL;
        for (int b = skip / SLOTS * SLOTS; b < lanes; b += SLOTS) {
            long block = CodeLayout.valueBlock(head, base + b);
            int some = Math.min(SLOTS, lanes - b);
            for (int g = 0; g < dim / group; g++) {
                Scales.block(head, block + CodeLayout.valueScales(head, g), m, scales);
                for (int r = 0; r < rows; r++) {
                    int p = at.products() + (first + r) * Attention.BLOCK + b;
                    int w = weights + r * WEIGHTS;
                    m[w + SLOTS] = Scales.weigh(m, p, some, scales, w);
                }
                for (int d = g * group; d < (g + 1) * group; d += PANEL) {
                    long x = block + (long) d * SLOTS * bits / 8;
                    int o = at.sums() + first * dim + d;
                    if (bits == 8) {
                        DirectInt8.values(rows, m, weights, WEIGHTS, codes, x, some, weights + SLOTS, o, dim);
                    } else {
                        DirectInt4.values(rows, m, weights, WEIGHTS, codes, x, some, weights + SLOTS, o, dim);
                    }
                }
            }
        }
    }
}
