package org.duoattention.backend.cuda.driver;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Addresses for all that somebody may come to need, and memory behind those that are needed now. What it may come to need is
 * set aside for it from the beginning; the addresses never change. Guarded by the {@link DeviceMemory} that it comes from.
 */
public final class GrowingBlock implements DeviceMemory.Taken {
    /** A new mapping is at most this share of what lies before it in its area: a shorter area gives most of it back. */
    private static final int SHARE_OF_BEFORE = 4;

    /**
     * The first bytes of an area that fills from its beginning.
     *
     * @param from offset of the area in the block
     * @param to offset after the bytes that are needed
     */
    public record Extent(long from, long to) {}

    /** Bytes to be mapped, as multiples of the granularity. */
    record Piece(long offset, long bytes) {}

    private final long address;
    private final long bytes;
    private final long granularity;
    /** By offset in the block. */
    private final TreeMap<Long, PhysicalMemory.Mapping> mappings = new TreeMap<>();

    private long mapped;

    GrowingBlock(long address, long bytes, long granularity) {
        this.address = address;
        this.bytes = bytes;
        this.granularity = granularity;
    }

    @Override
    public long address() {
        return address;
    }

    /** Bytes of addresses, a multiple of the granularity. */
    @Override
    public long bytes() {
        return bytes;
    }

    long mapped() {
        return mapped;
    }

    /**
     * What has to be mapped for extents, in ascending order, piece by piece. Extents may meet inside of what is mapped at
     * once.
     */
    List<Piece> missing(List<Extent> extents) {
        List<Piece> pieces = new ArrayList<>();
        long done = 0;
        for (Extent extent : extents) {
            long first = extent.from / granularity * granularity;
            long end = Math.ceilDiv(extent.to, granularity) * granularity;
            long at = Math.max(first, done);
            while (at < end) {
                long there = mappedUntil(at);
                if (there > at) {
                    at = there;
                    continue;
                }
                Long next = mappings.higherKey(at);
                long most = (at - first) / SHARE_OF_BEFORE / granularity * granularity;
                long run = (next == null ? end : Math.min(end, next)) - at;
                Piece piece = new Piece(at, Math.clamp(most, granularity, run));
                pieces.add(piece);
                at += piece.bytes;
            }
            done = Math.max(done, end);
        }
        return pieces;
    }

    /** The offset after what is mapped without a gap from an offset on. */
    long mappedUntil(long offset) {
        long at = offset;
        Map.Entry<Long, PhysicalMemory.Mapping> entry = mappings.floorEntry(at);
        while (entry != null
                && entry.getKey() <= at
                && entry.getKey() + entry.getValue().bytes() > at) {
            at = entry.getKey() + entry.getValue().bytes();
            entry = mappings.floorEntry(at);
        }
        return at;
    }

    /** The offsets of mappings of which extents, in ascending order, need nothing. */
    List<Long> beyond(List<Extent> extents) {
        TreeMap<Long, Long> needed = new TreeMap<>();
        extents.forEach(extent -> needed.put(extent.from, extent.to));
        List<Long> offsets = new ArrayList<>();
        mappings.forEach((offset, mapping) -> {
            Map.Entry<Long, Long> last = needed.lowerEntry(offset + mapping.bytes());
            if (last == null || last.getValue() <= offset) {
                offsets.add(offset);
            }
        });
        return offsets;
    }

    void add(PhysicalMemory.Mapping mapping) {
        mappings.put(mapping.address() - address, mapping);
        mapped += mapping.bytes();
    }

    PhysicalMemory.Mapping remove(long offset) {
        PhysicalMemory.Mapping mapping = mappings.remove(offset);
        if (mapping == null) {
            throw new IllegalArgumentException("nothing is mapped at offset " + offset);
        }
        mapped -= mapping.bytes();
        return mapping;
    }

    /** Offsets of all that is mapped. */
    List<Long> all() {
        return List.copyOf(mappings.keySet());
    }
}
