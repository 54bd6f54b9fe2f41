package org.duoattention.backend.cuda.driver;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Page-locked host memory, which the device copies from and to while the host goes on. */
public final class PinnedMemory implements AutoCloseable {
    private final Context context;
    private final MemorySegment segment;

    /** Takes memory; not zeroed. */
    public PinnedMemory(Context context, long bytes) {
        this.context = context;
        context.enter();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
            context.driver().call("cuMemHostAlloc", out, bytes, 0);
            segment = out.get(ValueLayout.ADDRESS, 0).reinterpret(bytes);
        }
    }

    /** The memory; not to be touched after close. */
    public MemorySegment segment() {
        return segment;
    }

    /** Gives the memory back. Copies from and to it are finished by then. */
    @Override
    public void close() {
        context.enter();
        context.driver().call("cuMemFreeHost", segment);
    }
}
