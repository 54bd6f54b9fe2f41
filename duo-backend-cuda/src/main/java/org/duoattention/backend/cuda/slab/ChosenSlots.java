package org.duoattention.backend.cuda.slab;

import java.util.Arrays;
import java.util.List;
import org.duoattention.api.backend.SlabSpec;

/**
 * Slots that are chosen one by one: the first {@code count} slots of every head are taken, in ascending order of position.
 * Which positions they hold differs by head; the host knows them, since it made every choice.
 */
public final class ChosenSlots extends Slots {
    private final long[][] positions;
    private int count;
    private long settled;

    ChosenSlots(SlabSpec spec) {
        super(spec);
        positions = new long[spec.heads().size()][0];
    }

    @Override
    public SlotRuns visible() {
        return SlotRuns.of(0, count);
    }

    @Override
    public SlotRuns next(long tokens) {
        return SlotRuns.of(count, tokens);
    }

    @Override
    protected long room() {
        return spec.slotCapacity();
    }

    @Override
    public void advance(long tokens) {
        int end = Math.toIntExact(count + tokens);
        for (int i = 0; i < positions.length; i++) {
            if (positions[i].length < end) {
                positions[i] = Arrays.copyOf(positions[i], Math.max(end, 2 * positions[i].length));
            }
            for (int s = count; s < end; s++) {
                positions[i][s] = length + s - count;
            }
        }
        length += tokens;
        count = end;
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
    public void settle() {
        settled = length;
    }

    @Override
    public void truncate(long target) {
        count -= Math.toIntExact(length - target);
        length = target;
    }

    /** Keeps the given slots of every head, which ascend and are as many in each. */
    public void keep(List<int[]> slots) {
        int kept = slots.getFirst().length;
        for (int i = 0; i < positions.length; i++) {
            int[] indices = slots.get(i);
            for (int s = 0; s < kept; s++) {
                positions[i][s] = positions[i][indices[s]];
            }
        }
        if (kept < count) {
            count = kept;
            settle();
        }
    }

    @Override
    public long[] positions(int head) {
        return Arrays.copyOf(positions[head], count);
    }

    /**
     * Takes over the saved positions of a head, after {@link #restore}.
     *
     * @return whether they are as many as the slots and ascend below the length; unchanged if not
     */
    public boolean restorePositions(int head, long[] saved) {
        if (saved.length != count) {
            return false;
        }
        long least = 0;
        for (long position : saved) {
            if (position < least || position >= length) {
                return false;
            }
            least = position + 1;
        }
        positions[head] = saved;
        return true;
    }

    @Override
    public long[] state() {
        return new long[] {count, settled};
    }

    @Override
    public boolean restore(long savedLength, long[] state) {
        boolean possible = savedLength >= 0
                && savedLength <= spec.maxTokens()
                && state[0] >= 0
                && state[0] <= Math.min(savedLength, spec.slotCapacity())
                && state[0] <= Integer.MAX_VALUE
                && state[1] >= 0
                && state[1] <= savedLength
                && savedLength - state[1] <= state[0];
        if (possible) {
            length = savedLength;
            count = (int) state[0];
            settled = state[1];
        }
        return possible;
    }
}
