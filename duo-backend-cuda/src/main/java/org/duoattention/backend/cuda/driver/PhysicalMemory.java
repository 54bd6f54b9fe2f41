package org.duoattention.backend.cuda.driver;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.jspecify.annotations.Nullable;

/** Addresses of one device, and physical memory that is mapped to them. Whoever uses it locks. */
final class PhysicalMemory implements AutoCloseable {
    /** Physical memory and the addresses that it is mapped to. It is unmapped as a whole, because the driver wants it so. */
    record Mapping(long handle, long address, long bytes) {}

    private final Context context;
    private final Driver driver;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment out = arena.allocate(16, 8);
    private final MemorySegment property = arena.allocate(32, 8);
    private final MemorySegment access = arena.allocate(12, 8);
    private final long granularity;

    PhysicalMemory(Context context) {
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
    }

    /** Bytes of which everything is a multiple here: sizes and addresses. */
    long granularity() {
        return granularity;
    }

    /** Addresses that nothing is mapped to yet, or 0 when there are not so many. */
    long reserve(long bytes) {
        context.enter();
        int result = driver.result("cuMemAddressReserve", out, bytes, 0L, 0L, 0L);
        if (result != 0 && result != CudaException.OUT_OF_MEMORY) {
            throw driver.failure("cuMemAddressReserve", result);
        }
        return result == 0 ? out.get(ValueLayout.JAVA_LONG, 0) : 0;
    }

    /** Gives addresses back, to which nothing is mapped any more. */
    void free(long address, long bytes) {
        context.enter();
        driver.call("cuMemAddressFree", address, bytes);
    }

    /** Maps new memory to reserved addresses; null, and nothing has changed, when there is not enough. */
    @Nullable
    Mapping map(long address, long bytes) {
        context.enter();
        int result = driver.result("cuMemCreate", out, bytes, property, 0L);
        if (result != 0) {
            return failed("cuMemCreate", result);
        }
        long handle = out.get(ValueLayout.JAVA_LONG, 0);
        result = driver.result("cuMemMap", address, bytes, 0L, handle, 0L);
        if (result != 0) {
            driver.call("cuMemRelease", handle);
            return failed("cuMemMap", result);
        }
        Mapping mapping = new Mapping(handle, address, bytes);
        result = driver.result("cuMemSetAccess", address, bytes, access, 1L);
        if (result != 0) {
            unmap(mapping);
            return failed("cuMemSetAccess", result);
        }
        return mapping;
    }

    /** Tables of pages take memory too: each of the calls may find none. */
    private @Nullable Mapping failed(String function, int result) {
        if (result != CudaException.OUT_OF_MEMORY) {
            throw driver.failure(function, result);
        }
        return null;
    }

    /** Gives memory back, whose users have finished; the addresses stay reserved. */
    void unmap(Mapping mapping) {
        context.enter();
        driver.call("cuMemUnmap", mapping.address, mapping.bytes);
        driver.call("cuMemRelease", mapping.handle);
    }

    @Override
    public void close() {
        arena.close();
    }
}
