package org.duoattention.backend.cuda.driver;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.duoattention.api.backend.DeviceMemoryException;
import org.jspecify.annotations.Nullable;

/**
 * The memory of one device: a reserved range of addresses into which physical memory is mapped as it is needed, and a list
 * of holes in it. Blocks start at multiples of {@link #ALIGNMENT} and take multiples of it. Thread-safe.
 *
 * <p>Where the holes are too small, physical memory behind unused addresses is moved to the end of the range. So a large
 * allocation does not fail because free memory lies in pieces, unless these are smaller than what the pool maps at once.
 *
 * <p>Beside the range there are {@link GrowingBlock}s, with addresses of their own and memory behind some of them. The rest of
 * what a growing block was made for is <i>promised</i>: it does not count as available, so that nobody else of this program
 * takes it. Other programs may, because it is not taken from the driver.
 */
public final class DeviceMemory implements AutoCloseable {
    /** Bytes to which blocks are aligned and rounded up. */
    public static final long ALIGNMENT = 256;

    /** What is left to the driver for code, local memory and graphs. */
    private static final long RESERVE = 192L << 20;
    /** Physical memory is taken in pieces of at least this size. */
    private static final long PIECE = 32L << 20;
    /** How many times the device's memory is reserved in addresses: moved memory gets new ones. */
    private static final int RANGES = 16;

    /** Device memory that somebody has, or has been promised. */
    public sealed interface Taken permits Block, GrowingBlock {
        /** Device address. */
        long address();

        /** Size, as it counts against what is available. */
        long bytes();
    }

    /**
     * Device memory that somebody has.
     *
     * @param address device address
     * @param bytes size, a multiple of {@link #ALIGNMENT}
     */
    public record Block(long address, long bytes) implements Taken {}

    /**
     * What one growing block needs.
     *
     * @param extents in ascending order, apart from each other
     */
    public record Need(GrowingBlock block, List<GrowingBlock.Extent> extents) {}

    private final Context context;
    private final PhysicalMemory physical;
    private final Promises promises;
    private final long granularity;
    private final long base;
    private final long range;
    private final List<PhysicalMemory.Mapping> pieces = new ArrayList<>();
    private final Set<GrowingBlock> growing = new LinkedHashSet<>();
    /** Offset and size of the unused parts of the mapped addresses; neighbours are joined. */
    private final TreeMap<Long, Long> holes = new TreeMap<>();

    private long end;
    private long mapped;
    private long used;

    /** Reserves addresses; takes no memory yet. */
    public DeviceMemory(Context context) {
        this.context = context;
        this.physical = new PhysicalMemory(context);
        this.promises = Promises.of(context);
        this.granularity = physical.granularity();
        // As many addresses as there are: a limit on the process's address space may leave fewer.
        int ranges = RANGES;
        long bytes = rangeBytes(ranges);
        long address = physical.reserve(bytes);
        while (address == 0 && ranges > 1) {
            ranges /= 2;
            bytes = rangeBytes(ranges);
            address = physical.reserve(bytes);
        }
        if (address == 0) {
            physical.close();
            throw context.driver().failure("cuMemAddressReserve of " + bytes + " bytes", CudaException.OUT_OF_MEMORY);
        }
        range = bytes;
        base = address;
    }

    private long rangeBytes(int ranges) {
        return roundUp(ranges * context.info().totalBytes(), granularity);
    }

    /** What a block of so many bytes takes. */
    public static long blockBytes(long bytes) {
        return bytes > Long.MAX_VALUE - ALIGNMENT ? Long.MAX_VALUE : roundUp(bytes, ALIGNMENT);
    }

    /** What a growing block of so many bytes is promised. */
    public long growingBytes(long bytes) {
        return bytes > Long.MAX_VALUE - granularity ? Long.MAX_VALUE : roundUp(bytes, granularity);
    }

    /** Bytes that are mapped at once, at the least. */
    public long granularity() {
        return granularity;
    }

    private static long roundUp(long value, long multiple) {
        return Math.ceilDiv(value, multiple) * multiple;
    }

    /** Bytes that blocks take; those of growing blocks do not count. */
    public synchronized long usedBytes() {
        return used;
    }

    /** Bytes of physical memory behind a growing block. */
    public synchronized long mappedBytes(GrowingBlock block) {
        return block.mapped();
    }

    /** Bytes that can still be allocated, other programs permitting. */
    public synchronized long availableBytes() {
        return unpromised() + mapped - used;
    }

    /** Bytes that the driver has, that nobody was promised, and that are not left to it. */
    private long unpromised() {
        return Math.max(0, context.freeBytes() - RESERVE - promises.bytes()) / granularity * granularity;
    }

    /**
     * Bytes that the driver has. What is left to it was set aside when the others were promised: it may have taken it since.
     */
    private long driverBytes() {
        return context.freeBytes() / granularity * granularity;
    }

    /**
     * Takes a block; its content is whatever was there.
     *
     * @param what the noun phrase that a message begins with
     * @throws DeviceMemoryException when it does not fit; nothing is allocated then
     */
    public synchronized Block allocate(String what, long bytes) {
        long size = blockBytes(bytes);
        if (size == 0) {
            return new Block(base, 0);
        }
        Map.Entry<Long, Long> hole = hole(size);
        if (hole == null) {
            synchronized (promises) {
                long available = availableBytes();
                if (size > available || !grow(size)) {
                    throw new DeviceMemoryException(what, size, available);
                }
            }
            hole = hole(size);
        }
        if (hole == null) {
            throw new AssertionError("no hole of " + size + " bytes in " + holes);
        }
        long offset = hole.getKey();
        long holeEnd = offset + hole.getValue();
        holes.remove(offset);
        putHole(offset + size, holeEnd);
        used += size;
        return new Block(base + offset, size);
    }

    /** The smallest hole that is large enough. */
    private Map.@Nullable Entry<Long, Long> hole(long size) {
        Map.Entry<Long, Long> best = null;
        for (Map.Entry<Long, Long> hole : holes.entrySet()) {
            if (hole.getValue() >= size && (best == null || hole.getValue() < best.getValue())) {
                best = hole;
            }
        }
        return best == null ? null : Map.entry(best.getKey(), best.getValue());
    }

    /** Maps memory at the end of the addresses until the last hole is large enough. */
    private boolean grow(long size) {
        Map.Entry<Long, Long> last = holes.lastEntry();
        long atEnd = last != null && last.getKey() + last.getValue() == end ? last.getValue() : 0;
        long missing = roundUp(size - atEnd, granularity);
        long comfortable = Math.max(missing, roundUp(PIECE, granularity));
        if (missing > range - end) {
            return false;
        }
        if (comfortable <= range - end && unpromised() >= comfortable && map(comfortable)) {
            return true;
        }
        while (unpromised() < missing) {
            if (!unmapUnused(false)) {
                return false;
            }
        }
        return map(missing);
    }

    private boolean map(long bytes) {
        PhysicalMemory.Mapping piece = physical.map(base + end, bytes);
        if (piece == null) {
            return false;
        }
        pieces.add(piece);
        mapped += bytes;
        addHole(end, bytes);
        end += bytes;
        return true;
    }

    /**
     * Gives back one piece that is behind a hole, if there is any.
     *
     * @param last whether it may be behind the last hole, at the end of the addresses
     */
    private boolean unmapUnused(boolean last) {
        Iterator<PhysicalMemory.Mapping> iterator = pieces.iterator();
        while (iterator.hasNext()) {
            PhysicalMemory.Mapping piece = iterator.next();
            long from = piece.address() - base;
            long to = from + piece.bytes();
            Map.Entry<Long, Long> hole = holes.floorEntry(from);
            if (hole == null
                    || hole.getKey() + hole.getValue() < to
                    || hole.getKey() + hole.getValue() == end && !last) {
                continue;
            }
            holes.remove(hole.getKey());
            putHole(hole.getKey(), from);
            putHole(to, hole.getKey() + hole.getValue());
            iterator.remove();
            if (to == end) {
                end = from;
            }
            physical.unmap(piece);
            mapped -= piece.bytes();
            return true;
        }
        return false;
    }

    /**
     * Takes addresses for as many bytes as somebody may come to need, and promises them memory. None is mapped yet.
     *
     * @param what the noun phrase that a message begins with
     * @throws DeviceMemoryException when so much is not there now; nothing is promised then
     */
    public synchronized GrowingBlock allocateGrowing(String what, long bytes) {
        long size = growingBytes(bytes);
        synchronized (promises) {
            // Memory that is mapped elsewhere cannot be mapped to these addresses: the promise is of what the driver
            // has.
            while (unpromised() < size) {
                if (!unmapUnused(true)) {
                    throw new DeviceMemoryException(what, size, unpromised());
                }
            }
            long address = physical.reserve(size);
            if (address == 0) {
                throw new DeviceMemoryException(
                        what + " (addresses, of which the process may have few: ulimit -v)", size, 0);
            }
            GrowingBlock block = new GrowingBlock(address, size, granularity);
            growing.add(block);
            promises.add(size);
            return block;
        }
    }

    /**
     * Maps what blocks need and do not have, for all of them or for none. May be called while the device works on them.
     *
     * @param what the noun phrase that a message begins with
     * @param generous what is taken if there is enough
     * @param needs what has to be, for each of the same blocks
     * @throws DeviceMemoryException when other programs have taken the memory; nothing has changed then
     */
    public synchronized void map(String what, List<Need> generous, List<Need> needs) {
        try {
            map(what, generous);
        } catch (DeviceMemoryException e) {
            map(what, needs);
        }
    }

    private void map(String what, List<Need> needs) {
        List<List<GrowingBlock.Piece>> missing = new ArrayList<>();
        long size = 0;
        for (Need need : needs) {
            List<GrowingBlock.Piece> pieces = need.block.missing(need.extents);
            missing.add(pieces);
            size += pieces.stream().mapToLong(GrowingBlock.Piece::bytes).sum();
        }
        while (driverBytes() < size) {
            if (!unmapUnused(true)) {
                throw new DeviceMemoryException(what, size, driverBytes());
            }
        }
        long taken = 0;
        List<Runnable> undo = new ArrayList<>();
        try {
            for (int i = 0; i < needs.size(); i++) {
                GrowingBlock block = needs.get(i).block;
                for (GrowingBlock.Piece piece : missing.get(i)) {
                    PhysicalMemory.Mapping mapping = physical.map(block.address() + piece.offset(), piece.bytes());
                    if (mapping == null) {
                        throw new DeviceMemoryException(what, size, taken);
                    }
                    block.add(mapping);
                    promises.add(-mapping.bytes());
                    taken += mapping.bytes();
                    undo.add(() -> unmap(block, piece.offset()));
                }
            }
        } catch (RuntimeException | Error e) {
            undo.forEach(Runnable::run);
            throw e;
        }
    }

    private void unmap(GrowingBlock block, long offset) {
        PhysicalMemory.Mapping mapping = block.remove(offset);
        promises.add(mapping.bytes());
        physical.unmap(mapping);
    }

    /** The offset in a block after what is mapped without a gap from an offset on. */
    public synchronized long mappedUntil(GrowingBlock block, long offset) {
        return block.mappedUntil(offset);
    }

    /** Whether {@link #unmapBeyond} would give anything back. */
    public synchronized boolean hasBeyond(Need need) {
        return !need.block.beyond(need.extents).isEmpty();
    }

    /** Gives back the memory of a block that these extents do not need, and that nobody uses any more. */
    public synchronized void unmapBeyond(Need need) {
        need.block.beyond(need.extents).forEach(offset -> unmap(need.block, offset));
    }

    private void putHole(long from, long to) {
        if (to > from) {
            holes.put(from, to - from);
        }
    }

    private void addHole(long offset, long bytes) {
        long from = offset;
        long to = offset + bytes;
        Map.Entry<Long, Long> before = holes.lowerEntry(offset);
        if (before != null && before.getKey() + before.getValue() == offset) {
            from = before.getKey();
        }
        Long after = holes.remove(to);
        if (after != null) {
            to += after;
        }
        holes.put(from, to - from);
    }

    /** Gives a block back, whose users have finished. */
    public synchronized void free(Taken taken) {
        switch (taken) {
            case Block block -> {
                if (block.bytes > 0) {
                    addHole(block.address - base, block.bytes);
                    used -= block.bytes;
                }
            }
            case GrowingBlock block -> {
                if (growing.remove(block)) {
                    freeGrowing(block);
                }
            }
        }
    }

    private void freeGrowing(GrowingBlock block) {
        block.all().forEach(offset -> unmap(block, offset));
        promises.add(-block.bytes());
        physical.free(block.address(), block.bytes());
    }

    /** Gives all memory back. */
    @Override
    public synchronized void close() {
        growing.forEach(this::freeGrowing);
        growing.clear();
        pieces.forEach(physical::unmap);
        pieces.clear();
        physical.free(base, range);
        physical.close();
    }
}
