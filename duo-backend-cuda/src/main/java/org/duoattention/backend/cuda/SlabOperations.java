package org.duoattention.backend.cuda;

import java.lang.foreign.MemorySegment;
import java.util.List;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.cache.SlotTable;

/**
 * Slabs of one device and the operations on them. The stream has checked that it is open and called by its owner, and that
 * tensors are open and of this device; everything about slabs is checked here, before anything is queued.
 */
final class SlabOperations {
    private final CudaDevice device;

    SlabOperations(CudaDevice device) {
        this.device = device;
    }

    private UnsupportedOperationException missing() {
        return new UnsupportedOperationException("slabs of " + device.backendId());
    }

    /** An empty slab, registered with the device. */
    Slab allocate(SlabSpec spec) {
        throw missing();
    }

    /** Exactly what {@link #allocate} takes. */
    long bytes(SlabSpec spec) {
        throw missing();
    }

    /** {@code k} and {@code v} are activations. */
    void append(Launches launches, Slab slab, CudaTensor k, CudaTensor v) {
        throw missing();
    }

    /** {@code q} and {@code out} are activations, {@code out} may be written to. */
    void attendAll(Launches launches, List<Slab> slabs, CudaTensor q, float scale, PrefillMode mode, CudaTensor out) {
        throw missing();
    }

    void evict(Launches launches, Slab slab) {
        throw missing();
    }

    SlotTable slots(Launches launches, Slab slab, int head) {
        throw missing();
    }

    void compact(Launches launches, Slab slab, List<int[]> keep) {
        throw missing();
    }

    void truncate(Launches launches, Slab slab, long length) {
        throw missing();
    }

    long saveBytes(Slab slab) {
        throw missing();
    }

    void save(Launches launches, Slab slab, MemorySegment target) {
        throw missing();
    }

    void restore(Launches launches, Slab slab, MemorySegment source) {
        throw missing();
    }
}
