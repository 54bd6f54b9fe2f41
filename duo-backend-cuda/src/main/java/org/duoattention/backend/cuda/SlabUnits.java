package org.duoattention.backend.cuda;

import org.duoattention.backend.cuda.slab.SlabLayout;
import org.duoattention.backend.cuda.slab.SlotRuns;

/** The heads of slabs as kernels read them: {@code struct Unit} of {@code slab.cuh}, 16 longs each. */
final class SlabUnits {
    private static final int LONGS = 16;

    private final long[] longs;
    private int count;

    /** Room for so many heads. */
    SlabUnits(int heads) {
        longs = new long[LONGS * heads];
    }

    /**
     * Adds all heads of a slab.
     *
     * @param runs slots that take part
     * @param always ordinals below it are visible to every token
     * @param windowStart first ordinal of the first token's window
     * @param causalEnd ordinal after the last that the first token sees
     */
    void add(CudaSlab slab, SlotRuns runs, long always, long windowStart, long causalEnd) {
        SlabLayout layout = slab.layout();
        for (int i = 0; i < slab.heads(); i++) {
            long[] unit = {
                slab.address() + layout.keys(i),
                slab.address() + layout.keyScales(i),
                slab.address() + layout.values(i),
                slab.address() + layout.valueScales(i),
                runs.first0(),
                runs.end0(),
                runs.first1(),
                runs.end1(),
                runs.first2(),
                runs.end2(),
                always,
                windowStart,
                causalEnd,
                slab.spec().heads().get(i),
                layout.isScored() ? slab.address() + layout.scores(i) : 0
            };
            System.arraycopy(unit, 0, longs, LONGS * count, unit.length);
            count++;
        }
    }

    /** Number of heads. */
    int count() {
        return count;
    }

    /** Bytes of variables that {@link #variables} takes. */
    static int bytes(int heads) {
        return Long.BYTES * LONGS * heads;
    }

    /** The device address of the heads, in launches until the next flush. */
    long variables(Launches launches) {
        return launches.vars(longs);
    }
}
