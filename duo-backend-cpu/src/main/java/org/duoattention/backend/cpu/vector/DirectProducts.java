package org.duoattention.backend.cpu.vector;

/**
 * The two products of attention for a few rows, with keys and values multiplied as they come from memory. Rows of scratch are
 * (query row, head of the group) pairs, in tiles of 1, 2 or 4. Made for one call, on one thread.
 */
interface DirectProducts {
    /** Blocks begin at multiples of this number of slots; a multiple of every panel. */
    int unit();

    /** Called once the queries, scaled, are in scratch. */
    default void begin() {}

    /**
     * The products of all rows with the keys of {@code lanes} slots from {@code base} on, starting at minus the rows'
     * references.
     *
     * @param base a multiple of {@link #unit}
     * @param lanes a multiple of {@link Simd#PANEL}
     */
    void keys(long base, int lanes);

    /**
     * Adds the values of slots {@code base + skip .. base + skip + count - 1} times the rows' probabilities. Slots of the same
     * panels that are not among them have the probability zero.
     */
    void values(long base, int skip, int count);
}
