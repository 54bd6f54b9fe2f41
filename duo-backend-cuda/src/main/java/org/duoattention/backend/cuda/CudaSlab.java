package org.duoattention.backend.cuda;

import java.util.concurrent.atomic.AtomicBoolean;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.backend.cuda.slab.SlabLayout;
import org.duoattention.backend.cuda.slab.Slots;

/**
 * A slab in device memory and the counters of it on the host. The heads that it holds are numbered {@code 0 .. heads-1} here,
 * in ascending order of the layer's heads. Used by the thread of the stream; close by any.
 */
final class CudaSlab implements Slab {
    private final CudaDevice device;
    private final SlabSpec spec;
    private final SlabLayout layout;
    private final SlabMemory memory;
    private final AtomicBoolean closed = new AtomicBoolean();
    private Slots slots;
    private long lastAppend;
    private boolean scoresTaken;

    CudaSlab(CudaDevice device, SlabSpec spec, SlabLayout layout, SlabMemory memory) {
        this.device = device;
        this.spec = spec;
        this.layout = layout;
        this.memory = memory;
        this.slots = Slots.of(spec);
    }

    @Override
    public SlabSpec spec() {
        return spec;
    }

    @Override
    public long length() {
        requireOpen();
        return slots.length();
    }

    @Override
    public long minLength() {
        requireOpen();
        return slots.minLength();
    }

    @Override
    public long bytes() {
        return memory.bytes();
    }

    /** Where everything lies in {@link #address}. */
    SlabLayout layout() {
        return layout;
    }

    /** Device address of the slab's memory. */
    long address() {
        return memory.address();
    }

    /** The slab's memory. */
    SlabMemory memory() {
        return memory;
    }

    /** Number of heads. */
    int heads() {
        return spec.heads().size();
    }

    /** Where the tokens are. */
    Slots slots() {
        return slots;
    }

    /** Tokens of the last append; 0 after anything else that changed the slab. */
    long lastAppend() {
        return lastAppend;
    }

    boolean belongsTo(CudaDevice other) {
        return device == other;
    }

    /** Throws {@link IllegalStateException} after close. */
    void requireOpen() {
        device.requireOpen();
        if (closed.get()) {
            throw new IllegalStateException(
                    "the slab of layer " + spec.layer() + " heads " + spec.heads() + " is closed");
        }
    }

    /** Takes note of an append that was queued. */
    void appended(long tokens) {
        slots.advance(tokens);
        lastAppend = tokens;
        scoresTaken = false;
    }

    /** Whether the last append's attention still has to be scored. */
    boolean awaitsScores() {
        return layout.isScored() && !scoresTaken && lastAppend > 0;
    }

    /** Takes note that the last append's attention was scored. */
    void scored() {
        scoresTaken = true;
    }

    /** Takes note of anything after which the last append cannot be attended to. */
    void changed() {
        lastAppend = 0;
    }

    /** Takes over restored counters. */
    void restored(Slots restored) {
        slots = restored;
        lastAppend = 0;
    }

    @Override
    public void close() {
        if (closed.compareAndSet(false, true)) {
            device.release(this, memory.taken());
        }
    }

    @Override
    public String toString() {
        return "slab of layer " + spec.layer() + " heads " + spec.heads();
    }
}
