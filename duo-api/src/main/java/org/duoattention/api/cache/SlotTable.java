package org.duoattention.api.cache;

/**
 * What the host may know of the slots that one KV head retains: positions and scores, never keys or values.
 *
 * @param positions absolute token positions in ascending order
 * @param scores one score per slot, or an empty array when the retention asks for none
 */
public record SlotTable(long[] positions, float[] scores) {
    /** Checks that scores are absent or as many as positions. */
    public SlotTable {
        if (scores.length != 0 && scores.length != positions.length) {
            throw new IllegalArgumentException(scores.length + " scores for " + positions.length + " slots");
        }
    }

    /** Number of slots. */
    public int size() {
        return positions.length;
    }
}
