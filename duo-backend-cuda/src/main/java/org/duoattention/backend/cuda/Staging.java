package org.duoattention.backend.cuda;

import java.lang.foreign.MemorySegment;
import java.util.stream.IntStream;
import org.duoattention.backend.cuda.driver.Context;
import org.duoattention.backend.cuda.driver.Driver;
import org.duoattention.backend.cuda.driver.PinnedMemory;

/**
 * Copies between any host memory and the device by way of pinned memory: while one half is being transferred the other is
 * filled. Not thread-safe.
 */
final class Staging implements AutoCloseable {
    private static final int HALVES = 2;
    /** Copies from here on are made by several threads. */
    private static final long PARALLEL_BYTES = 4 << 20;

    private static final int PARTS = 8;
    /** Memory that it can read is not confined to one thread. */
    private static final Thread ANOTHER_THREAD = Thread.ofVirtual().unstarted(() -> {});

    private final Context context;
    private final Driver driver;
    private final long half;
    private final PinnedMemory memory;
    private final long[] events = new long[HALVES];
    private int next;

    /**
     * Takes pinned memory.
     *
     * @param half bytes of one half
     */
    Staging(Context context, long half) {
        this.context = context;
        this.driver = context.driver();
        this.half = half;
        this.memory = new PinnedMemory(context, HALVES * half);
        for (int i = 0; i < HALVES; i++) {
            events[i] = context.createEvent();
        }
    }

    /** Queues a copy to the device; the source has been read when this returns. The context is current. */
    void upload(MemorySegment source, long target, long stream) {
        long bytes = source.byteSize();
        for (long at = 0; at < bytes; at += half) {
            long count = Math.min(half, bytes - at);
            MemorySegment pinned = free(count);
            fill(source, at, pinned);
            // A virtual thread that waited for the others may be on another thread of the system, with another context.
            context.enter();
            driver.copyToDevice(pinned, target + at, count, stream);
            queued(stream);
        }
    }

    /** One thread reads a mapped file slower than a bus takes it. */
    private static void fill(MemorySegment source, long at, MemorySegment pinned) {
        long bytes = pinned.byteSize();
        if (bytes < PARALLEL_BYTES || !source.isAccessibleBy(ANOTHER_THREAD)) {
            MemorySegment.copy(source, at, pinned, 0, bytes);
            return;
        }
        long part = Math.ceilDiv(bytes, PARTS);
        IntStream.range(0, PARTS).parallel().forEach(i -> {
            long from = Math.min(bytes, i * part);
            MemorySegment.copy(source, at + from, pinned, from, Math.min(bytes, from + part) - from);
        });
    }

    /** Copies to the host and waits for it, and so for everything queued before. The context is current. */
    void download(long source, MemorySegment target, long stream) {
        long bytes = target.byteSize();
        for (long at = 0; at < bytes; at += half) {
            long count = Math.min(half, bytes - at);
            MemorySegment pinned = free(count);
            driver.copyToHost(source + at, pinned, count, stream);
            driver.streamSynchronize(stream);
            MemorySegment.copy(pinned, 0, target, at, count);
        }
    }

    /** The half that was used longest ago, when the copy that used it is done. */
    private MemorySegment free(long bytes) {
        driver.call("cuEventSynchronize", events[next]);
        return memory.segment().asSlice(next * half, bytes);
    }

    private void queued(long stream) {
        driver.call("cuEventRecord", events[next], stream);
        next = (next + 1) % HALVES;
    }

    @Override
    public void close() {
        for (long event : events) {
            context.destroyEvent(event);
        }
        memory.close();
    }
}
