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
    /** {@code [2]} times scales, then offsets, of a group in a block. */
    private int scales;
    /** {@code [group][rows]}: sums of queries. */
    private int querySums;
    /** {@code [2][rows][WEIGHTS]}. */
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
        weights = scales + 4 * SLOTS;
        querySums = weights + 2 * at.rows * WEIGHTS;
    }

    /** Whether panels and groups fit each other. */
    static boolean suits(KvHead head) {
        return head.headDim() % PANEL == 0 && head.grouped().group() % PANEL == 0;
    }

    static int extra(int rows, int headDim) {
        return 4 * SLOTS + rows * (2 * WEIGHTS + headDim);
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
        for (int r = 0; r < at.rows; r++) {
            int s = at.products + r * BLOCK;
            Arrays.fill(m, s, s + lanes, m[at.starts + r]);
        }
        int blocks = (lanes + SLOTS - 1) / SLOTS;
        int half = at.twoStreams() ? blocks / 2 : 0;
        for (int g = 0; g < dim / group; g++) {
            for (int b = 0; b < half; b++) {
                keys(head, base, lanes, g, b * SLOTS, (b + half) * SLOTS);
            }
            for (int b = 2 * half; b < blocks; b++) {
                keys(head, base, lanes, g, b * SLOTS, lanes);
            }
        }
    }

    /** A group of the keys of the block at {@code first}, and of that at {@code second} unless it begins after {@code lanes}. */
    private void keys(KvHead head, long base, int lanes, int g, int first, int second) {
        MemorySegment codes = head.segment();
        int tile = at.tile;
        long inPanel = (long) g * group * PANEL * bits / 8;
        long block = CodeLayout.keyBlock(head, base + first);
        boolean two = second < lanes;
        long other = two ? CodeLayout.keyBlock(head, base + second) : block;
        // One call in a loop: inlined twice, the method is too much for the compiler, which then leaves its vectors on
        // the heap.
        for (int i = 0; i < (two ? 2 : 1); i++) {
            Scales.block(head, (i == 0 ? block : other) + CodeLayout.scales(g), m, scales + i * 2 * SLOTS);
        }
        for (int p = 0; p < Math.min(SLOTS, lanes - first); p += PANEL) {
            long x = block + CodeLayout.keyPanel(head, p) + inPanel;
            long y = other + CodeLayout.keyPanel(head, p) + inPanel;
            int scale = scales + p;
            for (int r = 0; r < at.rows; r += tile) {
                int q = at.queries + r * dim + g * group * tile;
                int sum = querySums + g * at.rows + r;
                int s = at.products + r * BLOCK + first + p;
                if (second + p < lanes) {
                    int t = at.products + r * BLOCK + second + p;
                    int scale2 = scale + 2 * SLOTS;
                    if (bits == 8) {
                        DirectInt8.twoKeys(tile, m, q, codes, x, y, group, scale, scale2, sum, s, t);
                    } else {
                        DirectInt4.twoKeys(tile, m, q, codes, x, y, group, scale, scale2, sum, s, t);
                    }
                } else if (bits == 8) {
                    DirectInt8.keys(tile, m, q, codes, x, group, scale, sum, s);
                } else {
                    DirectInt4.keys(tile, m, q, codes, x, group, scale, sum, s);
                }
            }
        }
    }

    @Override
    public void values(KvHead head, long base, int skip, int count) {
        int lanes = (skip + count + PANEL - 1) / PANEL * PANEL;
        int begin = skip / SLOTS;
        int blocks = (lanes + SLOTS - 1) / SLOTS;
        int half = at.twoStreams() && group % (2 * PANEL) == 0 ? (blocks - begin) / 2 : 0;
        for (int g = 0; g < dim / group; g++) {
            for (int b = begin; b < begin + half; b++) {
                twoValues(head, base, lanes, g, b * SLOTS, (b + half) * SLOTS);
            }
            for (int b = begin + 2 * half; b < blocks; b++) {
                values(head, base, lanes, g, b * SLOTS);
            }
        }
    }

    /** A group of the values of the block at {@code first}. */
    private void values(KvHead head, long base, int lanes, int g, int first) {
        MemorySegment codes = head.segment();
        int tile = at.tile;
        long block = CodeLayout.valueBlock(head, base + first);
        int some = Math.min(SLOTS, lanes - first);
        weigh(head, block, g, first, some, 0);
        for (int d = g * group; d < (g + 1) * group; d += PANEL) {
            long x = block + CodeLayout.valuePanel(head, 0, d);
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

    /** A group of the values of the blocks at {@code first} and {@code second}. */
    private void twoValues(KvHead head, long base, int lanes, int g, int first, int second) {
        MemorySegment codes = head.segment();
        int tile = at.tile;
        long block = CodeLayout.valueBlock(head, base + first);
        long other = CodeLayout.valueBlock(head, base + second);
        int some = Math.min(SLOTS, lanes - second);
        weigh(head, block, g, first, SLOTS, 0);
        weigh(head, other, g, second, some, at.rows * WEIGHTS);
        for (int r = 0; r < at.rows; r++) {
            // The slots after the last have memory, since blocks are whole.
            int w = weights + (at.rows + r) * WEIGHTS;
            Arrays.fill(m, w + some, w + SLOTS, 0f);
        }
        for (int d = g * group; d < (g + 1) * group; d += 2 * PANEL) {
            long x = block + CodeLayout.valuePanel(head, 0, d);
            long y = other + CodeLayout.valuePanel(head, 0, d);
            for (int r = 0; r < at.rows; r += tile) {
                int w = weights + r * WEIGHTS;
                int w2 = w + at.rows * WEIGHTS;
                int o = at.sums + r * dim + d;
                if (bits == 8) {
                    DirectInt8.twoValues(tile, m, w, w2, codes, x, y, SLOTS, o, dim);
                } else {
                    DirectInt4.twoValues(tile, m, w, w2, codes, x, y, SLOTS, o, dim);
                }
            }
        }
    }

    /** The weights of {@code some} slots of a block, {@code after} floats after the first ones. */
    private void weigh(KvHead head, long block, int g, int first, int some, int after) {
        Scales.block(head, block + CodeLayout.scales(g), m, scales);
        for (int r = 0; r < at.rows; r++) {
            int w = weights + after + r * WEIGHTS;
            m[w + SLOTS] = Scales.weigh(m, at.products + r * BLOCK + first, some, scales, w);
        }
    }
}
