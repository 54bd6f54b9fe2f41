package org.duoattention.api.cache;

/** Chooses which slots of one KV head survive a compaction. Pure; may be called from any thread. */
@FunctionalInterface
public interface SlotSelector {
    /**
     * The slots to keep.
     *
     * @param slots positions and, when asked for, scores of the head's slots
     * @param budget the most slots that may be kept
     * @return indices into {@code slots}, strictly ascending, at most {@code budget} of them
     */
    int[] keep(SlotTable slots, int budget);
}
