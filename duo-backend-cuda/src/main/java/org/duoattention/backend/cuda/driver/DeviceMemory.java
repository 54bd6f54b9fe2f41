package org.duoattention.backend.cuda.driver;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.duoattention.api.backend.DeviceMemoryException;
import org.jspecify.annotations.Nullable;

/**
 * The memory of one device: a reserved range of addresses into which physical memory is mapped as it is needed, and a list
 * of holes in it. Blocks start at multiples of {@link #ALIGNMENT} and take multiples of it. Thread-safe.
 *
 * <p>Where the holes are too small, physical memory behind unused addresses is moved to the end of the range. So a large
 * allocation does not fail because free memory lies in pieces, unless these are smaller than what the pool maps at once.
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

    /** A piece of physical memory and the addresses that it is mapped to, as offsets in the range. */
    private record Piece(long handle, long offset, long bytes) {}

    /**
     * Device memory that somebody has.
     *
     * @param address device address
     * @param bytes size, a multiple of {@link #ALIGNMENT}
     */
    public record Block(long address, long bytes) {}

    private final Context context;
    private final Driver driver;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment out = arena.allocate(16, 8);
    private final MemorySegment property = arena.allocate(32, 8);
    private final MemorySegment access = arena.allocate(12, 8);
    private final long granularity;
    private final long base;
    private final long range;
    private final List<Piece> pieces = new ArrayList<>();
    /** Offset and size of the unused parts of the mapped addresses; neighbours are joined. */
    private final TreeMap<Long, Long> holes = new TreeMap<>();

    private long end;
    private long mapped;
    private long used;

    /** Reserves addresses; takes no memory yet. */
    public DeviceMemory(Context context) {
        this.context = context;
        this.driver = context.driver();
        context.enter();
        // CUmemAllocationProp: pinned memory, no handle to share, on this device.
        property.set(ValueLayout.JAVA_INT, 0, 1);
        property.set(ValueLayout.JAVA_INT, 8, 1);
        property.set(ValueLayout.JAVA_INT, 12, context.device());
        // CUmemAccessDesc: this device may read and write.
        access.set(ValueLayout.JAVA_INT, 0, 1);
        access.set(ValueLayout.JAVA_INT, 4, context.device());
        access.set(ValueLayout.JAVA_INT, 8, 3);
        driver.call("cuMemGetAllocationGranularity", out, property, 0);
        granularity = out.get(ValueLayout.JAVA_LONG, 0);
        range = reserve();
        base = out.get(ValueLayout.JAVA_LONG, 0);
    }

    /** Reserves as many addresses as there are: a limit on the process's address space may leave fewer. */
    private long reserve() {
        int ranges = RANGES;
        while (true) {
            long bytes = roundUp(ranges * context.info().totalBytes(), granularity);
            int result = driver.result("cuMemAddressReserve", out, bytes, 0L, 0L, 0L);
            if (result == 0) {
                return bytes;
            }
            if (ranges == 1) {
                throw driver.failure("cuMemAddressReserve", result);
            }
            ranges /= 2;
        }
    }

    /** What a block of so many bytes takes. */
    public static long blockBytes(long bytes) {
        return bytes > Long.MAX_VALUE - ALIGNMENT ? Long.MAX_VALUE : roundUp(bytes, ALIGNMENT);
    }

    private static long roundUp(long value, long multiple) {
        return Math.ceilDiv(value, multiple) * multiple;
    }

    /** Bytes that blocks take. */
    public synchronized long usedBytes() {
        return used;
    }

    /** Bytes that can still be allocated, other programs permitting. */
    public synchronized long availableBytes() {
        long free = Math.max(0, context.freeBytes() - RESERVE);
        return free / granularity * granularity + mapped - used;
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
            long available = availableBytes();
            if (size > available || !grow(size)) {
                throw new DeviceMemoryException(what, size, available);
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
        context.enter();
        Map.Entry<Long, Long> last = holes.lastEntry();
        long atEnd = last != null && last.getKey() + last.getValue() == end ? last.getValue() : 0;
        long missing = roundUp(size - atEnd, granularity);
        long comfortable = Math.max(missing, roundUp(PIECE, granularity));
        if (missing > range - end) {
            return false;
        }
        if (comfortable <= range - end && context.freeBytes() - RESERVE >= comfortable && map(comfortable)) {
            return true;
        }
        while (context.freeBytes() - RESERVE < missing) {
            if (!unmapUnused()) {
                return false;
            }
        }
        return map(missing);
    }

    private boolean map(long bytes) {
        int result = driver.result("cuMemCreate", out, bytes, property, 0L);
        if (result == CudaException.OUT_OF_MEMORY) {
            return false;
        }
        if (result != 0) {
            throw driver.failure("cuMemCreate", result);
        }
        Piece piece = new Piece(out.get(ValueLayout.JAVA_LONG, 0), end, bytes);
        driver.call("cuMemMap", base + end, bytes, 0L, piece.handle, 0L);
        driver.call("cuMemSetAccess", base + end, bytes, access, 1L);
        pieces.add(piece);
        mapped += bytes;
        addHole(end, bytes);
        end += bytes;
        return true;
    }

    /** Gives back one piece that is behind a hole and not at the end, if there is any. */
    private boolean unmapUnused() {
        Iterator<Piece> iterator = pieces.iterator();
        while (iterator.hasNext()) {
            Piece piece = iterator.next();
            Map.Entry<Long, Long> hole = holes.floorEntry(piece.offset);
            if (hole == null
                    || hole.getKey() + hole.getValue() < piece.offset + piece.bytes
                    || hole.getKey() + hole.getValue() == end) {
                continue;
            }
            holes.remove(hole.getKey());
            putHole(hole.getKey(), piece.offset);
            putHole(piece.offset + piece.bytes, hole.getKey() + hole.getValue());
            iterator.remove();
            unmap(piece);
            return true;
        }
        return false;
    }

    private void unmap(Piece piece) {
        driver.call("cuMemUnmap", base + piece.offset, piece.bytes);
        driver.call("cuMemRelease", piece.handle);
        mapped -= piece.bytes;
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
    public synchronized void free(Block block) {
        if (block.bytes > 0) {
            addHole(block.address - base, block.bytes);
            used -= block.bytes;
        }
    }

    /** Gives all memory back. */
    @Override
    public synchronized void close() {
        context.enter();
        pieces.forEach(this::unmap);
        pieces.clear();
        driver.call("cuMemAddressFree", base, range);
        arena.close();
    }
}
