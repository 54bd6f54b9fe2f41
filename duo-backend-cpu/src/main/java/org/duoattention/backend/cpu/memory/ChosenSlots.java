package org.duoattention.backend.cpu.memory;

import org.duoattention.api.backend.SlabSpec;
import org.duoattention.backend.cpu.kernel.SlotRuns;

/**
 * Slots that are chosen one by one: the first {@code count} slots of every head are taken, in ascending order of position.
 * Which positions they hold differs by head and lies in the slab's memory.
 */
final class ChosenSlots extends Slots {
    private long count;
    private long settled;

    ChosenSlots(SlabSpec spec) {
        super(spec);
    }

    @Override
    public SlotRuns visible() {
        return SlotRuns.upTo(count);
    }

    @Override
    public SlotRuns next(long tokens) {
        return new SlotRuns(count, tokens, 0, tokens, 0, tokens);
    }

    @Override
    protected long room() {
        return spec.slotCapacity();
    }

    @Override
    public void advance(long tokens) {
        length += tokens;
        count += tokens;
    }

    @Override
    public void evict() {
        throw new IllegalArgumentException("layer " + spec.layer() + " heads " + spec.heads()
                + " choose their slots one by one: compact them instead of evicting by position");
    }

    @Override
    public long minLength() {
        return settled;
    }

    /** From now on no token that was seen can be taken back: a choice or a score depends on it. */
    void settle() {
        settled = length;
    }

    @Override
    public void truncate(long target) {
        count -= length - target;
        length = target;
    }

    /** Keeps the first slots only, after a compaction. */
    void keep(long slots) {
        count = slots;
        settle();
    }

    @Override
    long[] state() {
        return new long[] {count, settled};
    }

    @Override
    boolean restore(long savedLength, long[] state) {
        boolean possible = savedLength >= 0
                && savedLength <= spec.maxTokens()
                && state[0] >= 0
                && state[0] <= Math.min(savedLength, spec.slotCapacity())
                && state[1] >= 0
                && state[1] <= savedLength
                && savedLength - state[1] <= state[0];
        if (possible) {
            length = savedLength;
            count = state[0];
            settled = state[1];
        }
        return possible;
    }
}
