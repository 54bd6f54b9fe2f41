package org.duoattention.backend.cuda.slab;

import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.cache.Retention;

/**
 * Which slot of a slab's heads holds which token: the arithmetic of a retention, without the data. The base class is the full
 * cache, where slot and position are the same. Not thread-safe.
 */
public class Slots {
    /** The start of a window that hides nothing; adding a chunk to it does not overflow. */
    public static final long NO_WINDOW = Long.MIN_VALUE / 2;

    /** What the slab was made for. */
    protected final SlabSpec spec;
    /** Tokens seen so far. */
    protected long length;

    Slots(SlabSpec spec) {
        this.spec = spec;
    }

    /** The arithmetic for a retention. */
    public static Slots of(SlabSpec spec) {
        return switch (spec.retention()) {
            case Retention.All all -> new Slots(spec);
            case Retention.SinkAndRecent(int sinks, int recent) -> new RingSlots(spec, sinks, recent);
            case Retention.TopScored top -> new ChosenSlots(spec);
            case Retention.Custom custom -> new ChosenSlots(spec);
        };
    }

    /** Tokens seen so far. */
    public final long length() {
        return length;
    }

    /** The slots that are visible now. */
    public SlotRuns visible() {
        return SlotRuns.of(0, length);
    }

    /** Number of first ordinals that a window never hides. */
    public long always() {
        return visible().count();
    }

    /** The ordinal at which the window of a query at a position begins, in the window mode. */
    public long windowStart(long position) {
        return NO_WINDOW;
    }

    /** The slots in which the next tokens go. */
    public SlotRuns next(long tokens) {
        return SlotRuns.of(length, tokens);
    }

    /** Most tokens that the slab may show before an eviction. */
    protected long room() {
        return spec.maxTokens();
    }

    /** Throws {@link IllegalStateException} when tokens cannot be appended now. */
    public final void requireRoom(long tokens) {
        if (tokens > spec.maxTokens() - length) {
            throw new IllegalStateException("layer " + spec.layer() + " holds " + length + " tokens of at most "
                    + spec.maxTokens() + ": no room for " + tokens + " more");
        }
        long count = visible().count();
        if (tokens > room() - count) {
            throw new IllegalStateException("layer " + spec.layer() + " heads " + spec.heads() + " hold " + count
                    + " tokens of at most " + room() + ": no room for " + tokens + " more before an eviction");
        }
    }

    /** Takes note of tokens that go to {@link #next}. */
    public void advance(long tokens) {
        length += tokens;
    }

    /** Evicts by position. */
    public void evict() {}

    /** The smallest length for {@link #truncate}. */
    public long minLength() {
        return 0;
    }

    /** Goes back to a length between {@link #minLength} and {@link #length}. */
    public void truncate(long target) {
        length = target;
    }

    /**
     * Absolute positions of the visible slots of a head.
     *
     * @param head index among the slab's heads
     */
    public long[] positions(int head) {
        long[] positions = new long[Math.toIntExact(length)];
        java.util.Arrays.setAll(positions, ordinal -> ordinal);
        return positions;
    }

    /** The slots that a snapshot holds: the visible ones and those that a truncation may show again. */
    public SlotRuns intact() {
        return visible();
    }

    /** Everything that must be saved besides the length: two numbers of the retention. */
    public long[] state() {
        return new long[2];
    }

    /**
     * Takes over a saved state.
     *
     * @return whether the state is one that this slab can be in; unchanged if not
     */
    public boolean restore(long savedLength, long[] state) {
        if (savedLength < 0 || savedLength > spec.maxTokens() || state[0] != 0 || state[1] != 0) {
            return false;
        }
        length = savedLength;
        return true;
    }
}
