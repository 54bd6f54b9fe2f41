package org.duoattention.backend.cuda;

import java.util.List;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.cache.Retention;
import org.duoattention.backend.cuda.driver.DeviceMemory;
import org.duoattention.backend.cuda.driver.GrowingBlock;
import org.duoattention.backend.cuda.driver.GrowingBlock.Extent;
import org.duoattention.backend.cuda.slab.SlabLayout;
import org.jspecify.annotations.Nullable;

/**
 * The memory of one slab. A slab that retains every token of a long context has addresses for all of them and memory for those
 * that it holds, and some more; its size is promised to it. Any other slab is a block of the pool.
 *
 * <p>Used by one thread at a time.
 */
final class SlabMemory {
    /**
     * A slab grows if its first token takes at most this part of what the whole takes: each area of each head begins with
     * memory of its own, whatever the size of a page.
     */
    private static final int LEAST_GAIN = 4;
    /** A slab that grows does so by this part of its length beyond what is asked for. */
    private static final int AHEAD = 16;
    /** A slab gives memory back when at least this part of it is not needed any more. */
    private static final int LEAST_GIVEN_BACK = 4;

    private final DeviceMemory memory;
    private final SlabLayout layout;
    private final DeviceMemory.Taken taken;
    /** Slots behind which there is memory. */
    private long ready;

    private SlabMemory(DeviceMemory memory, SlabLayout layout, DeviceMemory.Taken taken) {
        this.memory = memory;
        this.layout = layout;
        this.taken = taken;
        this.ready = taken instanceof GrowingBlock ? 0 : layout.slots();
    }

    /** Takes the memory of a slab from a device, or a promise of it. */
    static SlabMemory take(CudaDevice device, SlabSpec spec, SlabLayout layout) {
        String what = "the cache of layer " + spec.layer();
        return new SlabMemory(
                device.memory(),
                layout,
                grows(device.memory(), spec, layout)
                        ? device.takeGrowing(what, layout.bytes())
                        : device.take(what, layout.bytes()));
    }

    /** Exactly what {@link #take} takes or is promised. */
    static long bytes(DeviceMemory memory, SlabSpec spec, SlabLayout layout) {
        return grows(memory, spec, layout)
                ? memory.growingBytes(layout.bytes())
                : DeviceMemory.blockBytes(layout.bytes());
    }

    private static boolean grows(DeviceMemory memory, SlabSpec spec, SlabLayout layout) {
        if (!(spec.retention() instanceof Retention.All)) {
            return false;
        }
        long granularity = memory.granularity();
        long first = 0;
        long counted = 0;
        for (Extent extent : layout.extents(1)) {
            long end = Math.ceilDiv(extent.to(), granularity);
            first += end - Math.max(extent.from() / granularity, counted);
            counted = end;
        }
        return first <= layout.bytes() / granularity / LEAST_GAIN;
    }

    /** Device address; the same as long as the slab lives. */
    long address() {
        return taken.address();
    }

    /** What the slab has, or has been promised. */
    long bytes() {
        return taken.bytes();
    }

    /** What is to be freed. */
    DeviceMemory.Taken taken() {
        return taken;
    }

    /** Bytes of physical memory that the slab keeps from others. */
    long mappedBytes() {
        return taken instanceof GrowingBlock block ? memory.mappedBytes(block) : taken.bytes();
    }

    /** Whether more memory is needed for so many slots. */
    boolean lacks(long slots) {
        return slots > ready;
    }

    /** What a slab that grows needs for so many slots. */
    DeviceMemory.Need need(long slots) {
        return new DeviceMemory.Need((GrowingBlock) taken, layout.extents(slots));
    }

    /** What a slab that grows takes for so many slots if there is enough, so that it does not grow at every step. */
    DeviceMemory.Need generousNeed(long slots) {
        return need(Math.min(slots + slots / AHEAD, layout.slots()));
    }

    /** Takes note of what was mapped. */
    void grown() {
        if (taken instanceof GrowingBlock block) {
            ready = layout.slotsWithin(offset -> memory.mappedUntil(block, offset));
        }
    }

    /** What is left of a slab that shall hold so many slots, if that frees memory; null if it does not. */
    DeviceMemory.@Nullable Need remainder(long slots) {
        // Taking back some tokens, and feeding others, shall neither give anything back nor take it.
        if (taken instanceof GrowingBlock && slots + slots / AHEAD < ready - ready / LEAST_GIVEN_BACK) {
            DeviceMemory.Need need = generousNeed(slots);
            return memory.hasBeyond(need) ? need : null;
        }
        return null;
    }

    /** Gives back what the device has finished with. */
    void shrink(DeviceMemory.Need remainder) {
        memory.unmapBeyond(remainder);
        grown();
    }

    /**
     * Makes sure that slabs have memory for some slots each, all of them or none.
     *
     * @param what the noun phrase that a message begins with
     * @param slots for each slab that lacks memory, how many
     */
    static void grow(DeviceMemory memory, String what, List<SlabMemory> slabs, long[] slots) {
        DeviceMemory.Need[] generous = new DeviceMemory.Need[slots.length];
        DeviceMemory.Need[] exact = new DeviceMemory.Need[slots.length];
        for (int i = 0; i < slots.length; i++) {
            generous[i] = slabs.get(i).generousNeed(slots[i]);
            exact[i] = slabs.get(i).need(slots[i]);
        }
        memory.map(what, List.of(generous), List.of(exact));
        slabs.forEach(SlabMemory::grown);
    }
}
