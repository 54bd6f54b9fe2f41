package org.duoattention.backend.cuda.slab;

import java.util.Arrays;
import org.duoattention.api.backend.SlabSpec;

/**
 * Sinks and recent tokens. Slots {@code 0 .. sinks-1} hold the first tokens for good; the others are a ring in which the token
 * at position {@code p} takes slot {@code sinks + (p - sinks) % ring}.
 *
 * <p>An eviction moves nothing: it raises {@code evicted}, the first position after the sinks that is still visible. The data
 * behind it stays until the ring comes round, which is what an exact truncation lives on: {@code floor} is the first position
 * after the sinks whose data is intact.
 */
final class RingSlots extends Slots {
    private final int sinks;
    private final int recent;
    private final long ring;
    private long evicted;
    private long floor;

    RingSlots(SlabSpec spec, int sinks, int recent) {
        super(spec);
        this.sinks = sinks;
        this.recent = recent;
        this.ring = Math.max(0, spec.slotCapacity() - sinks);
        this.evicted = sinks;
        this.floor = sinks;
    }

    private SlotRuns runs(long from) {
        return length <= sinks ? SlotRuns.of(0, length) : pieces(0, sinks, from, length - from);
    }

    /** Sinks {@code firstSink ..}, then {@code count} ring positions from {@code from} on. */
    private SlotRuns pieces(long firstSink, long sinkCount, long from, long count) {
        if (count <= 0) {
            return SlotRuns.of(firstSink, sinkCount);
        }
        long at = (from - sinks) % ring;
        long straight = Math.min(count, ring - at);
        return new SlotRuns(firstSink, sinkCount, sinks + at, sinkCount + straight, sinks, sinkCount + count);
    }

    @Override
    public SlotRuns visible() {
        return runs(evicted);
    }

    @Override
    public long always() {
        return Math.min(sinks, length);
    }

    @Override
    public long windowStart(long position) {
        return position - recent - evicted + sinks;
    }

    @Override
    public SlotRuns next(long tokens) {
        long sinkCount = Math.clamp(sinks - length, 0, tokens);
        return pieces(length, sinkCount, Math.max(length, sinks), tokens - sinkCount);
    }

    @Override
    protected long room() {
        return Math.min(spec.maxTokens(), (long) sinks + recent + spec.maxChunk());
    }

    @Override
    public void advance(long tokens) {
        length += tokens;
        floor = Math.max(floor, length - ring);
    }

    @Override
    public void evict() {
        evicted = Math.max(evicted, length - recent);
    }

    @Override
    public long minLength() {
        return floor <= sinks ? 0 : Math.min(length, floor + recent);
    }

    @Override
    public void truncate(long target) {
        length = target;
        // What was visible at that length: evictions since then had not happened.
        evicted = Math.min(evicted, Math.max(sinks, target - recent));
    }

    @Override
    public long[] positions(int head) {
        long[] positions = new long[Math.toIntExact(visible().count())];
        Arrays.setAll(positions, ordinal -> ordinal < sinks ? ordinal : ordinal - sinks + evicted);
        return positions;
    }

    @Override
    public SlotRuns intact() {
        return runs(floor);
    }

    @Override
    public long[] state() {
        return new long[] {floor, evicted};
    }

    @Override
    public boolean restore(long savedLength, long[] state) {
        long savedFloor = state[0];
        long savedEvicted = state[1];
        boolean possible = savedLength >= 0
                && savedLength <= spec.maxTokens()
                && savedFloor >= sinks
                && savedEvicted >= savedFloor
                && savedEvicted <= Math.max(sinks, savedLength)
                && savedLength - savedFloor <= ring;
        if (possible) {
            length = savedLength;
            floor = savedFloor;
            evicted = savedEvicted;
        }
        return possible;
    }
}
