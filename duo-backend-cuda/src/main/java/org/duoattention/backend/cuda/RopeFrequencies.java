package org.duoattention.backend.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HashMap;
import java.util.Map;
import org.duoattention.api.backend.Rope;
import org.duoattention.backend.cuda.driver.DeviceMemory;
import org.jspecify.annotations.Nullable;

/** The frequencies of the rotations that a stream has used, in device memory: doubles. */
final class RopeFrequencies {
    /** A model has one or two. */
    private static final int KEPT = 16;

    private final CudaDevice device;
    private final Map<Rope, DeviceMemory.Block> blocks = new HashMap<>();
    private @Nullable Rope latest;
    private long latestAddress;

    RopeFrequencies(CudaDevice device) {
        this.device = device;
    }

    /** Device address of the frequencies. */
    long address(Rope rope, Launches launches) {
        if (rope != latest) {
            DeviceMemory.Block block = blocks.get(rope);
            if (block == null) {
                if (blocks.size() == KEPT) {
                    launches.finish();
                    close();
                }
                block = upload(rope);
                blocks.put(rope, block);
            }
            latest = rope;
            latestAddress = block.address();
        }
        return latestAddress;
    }

    private DeviceMemory.Block upload(Rope rope) {
        DeviceMemory.Block block = device.memory().allocate("the frequencies of a rotation", 8L * rope.pairs());
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment numbers = arena.allocate(ValueLayout.JAVA_DOUBLE, rope.pairs());
            for (int i = 0; i < rope.pairs(); i++) {
                numbers.setAtIndex(ValueLayout.JAVA_DOUBLE, i, rope.inverseFrequency(i));
            }
            device.uploadNow(numbers, block.address());
        }
        return block;
    }

    /** Gives the memory back, when nothing that is queued reads it any more. */
    void close() {
        blocks.values().forEach(device.memory()::free);
        blocks.clear();
        latest = null;
    }
}
