package org.duoattention.tck;

import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.SlabSpec;

/** A slab of {@link AssertingDevice}: counts what was appended since the last attention and eviction. */
final class AssertingSlab implements Slab {
    private final AssertingDevice device;
    private final Slab delegate;
    private boolean closed;

    /** Tokens of the last append, 0 once something else moved the slots. */
    long lastAppend;

    /** Tokens since the last eviction or compaction. */
    long sinceEviction;

    AssertingSlab(AssertingDevice device, Slab delegate) {
        this.device = device;
        this.delegate = delegate;
    }

    @Override
    public SlabSpec spec() {
        return delegate.spec();
    }

    @Override
    public long length() {
        return delegate.length();
    }

    @Override
    public long minLength() {
        return delegate.minLength();
    }

    @Override
    public long bytes() {
        return delegate.bytes();
    }

    @Override
    public void close() {
        if (!closed) {
            closed = true;
            device.released(this);
        }
        delegate.close();
    }

    void checkUsable() {
        device.checkOpen();
        device.check(!closed, this + " is used before it is closed");
    }

    boolean belongsTo(AssertingDevice other) {
        return device == other;
    }

    Slab delegate() {
        return delegate;
    }

    @Override
    public String toString() {
        return "slab of layer " + spec().layer() + " heads " + spec().heads();
    }
}
