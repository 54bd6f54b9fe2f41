package org.duoattention.backend.cpu.vector;

import static org.duoattention.backend.cpu.vector.Simd.L;

/**
 * The two products of blocked attention, for a tile of query rows and a block of slots that lie widened in scratch. The number of rows
 * is what the registers of this JVM's vector width hold; both sizes are written out, since C2 keeps sums in registers
 * only where the code names them one by one.
 *
 * <p>Everything is in one heap array and every stride is a constant: with one base register and constant displacements
 * the loops are loads and multiply-adds only.
 */
final class Tile {
    /** Query rows of a tile. */
    static final int ROWS = L >= 16 ? Tile12.ROWS : Tile6.ROWS;

    /** Slots of a block; a multiple of every panel. */
    static final int BLOCK = 64;

    /**
     * By how much a product may exceed its row's reference before the reference is moved (base 2): sums then stay below
     * {@code 2^10} times the number of slots.
     */
    static final float HEADROOM = 10;

    /** Floats that are not negative compare like their bits, and bits of negative ones are negative. */
    static final int HEADROOM_BITS = Float.floatToRawIntBits(HEADROOM);

    private Tile() {}

    /**
     * {@code s[row][slot] = start[row] + sum over d of q[d][row] * k[d][slot]} for one panel of slots.
     *
     * @param m scratch that holds all of the following, at offsets
     * @param q queries {@code [dim][ROWS]}
     * @param k keys {@code [dim][PANEL]}
     * @param start what products start at, {@code [ROWS]}
     * @param s first element of the panel in {@code [ROWS][BLOCK]}
     * @return whether some result is above {@link #HEADROOM}
     */
    static boolean products(float[] m, int q, int k, int dim, int start, int s) {
        return L >= 16 ? Tile12.products(m, q, k, dim, start, s) : Tile6.products(m, q, k, dim, start, s);
    }

    /**
     * {@code o[row][i] += sum over slots of p[row][slot] * v[slot][i]} for one panel of dimensions.
     *
     * @param m scratch that holds all of the following, at offsets
     * @param s probabilities, first slot in {@code [ROWS][BLOCK]}
     * @param v values {@code [count][PANEL]}
     * @param count slots
     * @param o sums {@code [ROWS][PANEL]}
     */
    static void values(float[] m, int s, int v, int count, int o) {
        if (L >= 16) {
            Tile12.values(m, s, v, count, o);
        } else {
            Tile6.values(m, s, v, count, o);
        }
    }
}
