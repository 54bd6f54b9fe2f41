package org.duoattention.backend.cpu.vector;

import org.duoattention.backend.cpu.kernel.KvHead;

/**
 * The two products of attention for a few rows, with keys and values multiplied as they come from memory. Rows of scratch are
 * (query row, head of the group) pairs, in tiles of 1, 2 or 4. Used by one thread, for one call after the other.
 */
interface DirectProducts {
    /** Blocks begin at multiples of this number of slots; a multiple of every panel. */
    int unit();

    /**
     * Begins with a head, once the rows are divided.
     *
     * @param free where the scratch memory begins that nothing else uses; {@link CodedProducts#extra} floats
     */
    void prepare(KvHead head, int free);

    /** Called once the queries, scaled, are in scratch. */
    default void begin() {}

    /**
     * The products of all rows with the keys of {@code lanes} slots from {@code base} on, starting at minus the rows'
     * references.
     *
     * @param base a multiple of {@link #unit}
     * @param lanes a multiple of {@link Simd#PANEL}
     */
    void keys(KvHead head, long base, int lanes);

    /**
     * Adds the values of slots {@code base + skip .. base + skip + count - 1} times the rows' probabilities. Slots of the same
     * panels that are not among them have the probability zero.
     */
    void values(KvHead head, long base, int skip, int count);
}
