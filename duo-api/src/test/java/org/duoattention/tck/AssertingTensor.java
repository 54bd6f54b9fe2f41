package org.duoattention.tck;

import java.lang.foreign.MemorySegment;
import java.util.Optional;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.TensorSpec;

/** A tensor of {@link AssertingDevice}: knows its owner, and which of the owner's elements it is. */
final class AssertingTensor implements Tensor {
    private final AssertingDevice device;
    private final Tensor delegate;
    private final AssertingTensor owner;
    private final Optional<MemorySegment.Scope> adopted;
    private final long first;
    private boolean closed;

    AssertingTensor(AssertingDevice device, Tensor delegate, Optional<MemorySegment.Scope> adopted) {
        this.device = device;
        this.delegate = delegate;
        this.owner = this;
        this.adopted = adopted;
        this.first = 0;
    }

    private AssertingTensor(AssertingTensor owner, Tensor delegate, long first) {
        this.device = owner.device;
        this.delegate = delegate;
        this.owner = owner;
        this.adopted = owner.adopted;
        this.first = first;
    }

    @Override
    public TensorSpec spec() {
        return delegate.spec();
    }

    @Override
    public BlockFormat format() {
        return delegate.format();
    }

    @Override
    public Tensor rows(long row, long count) {
        checkUsable();
        return new AssertingTensor(owner, delegate.rows(row, count), first + row * spec().rowElements());
    }

    @Override
    public void close() {
        if (owner == this && !closed) {
            checkHostMemory();
            closed = true;
            device.released(this);
        }
        delegate.close();
    }

    void checkUsable() {
        device.checkOpen();
        device.check(!owner.closed, this + " is used before it, or the owner of the view, is closed");
        checkHostMemory();
    }

    private void checkHostMemory() {
        device.check(adopted.isEmpty() || adopted.get().isAlive(), "adopted host memory outlives the tensor " + this);
    }

    boolean belongsTo(AssertingDevice other) {
        return device == other;
    }

    boolean isAdopted() {
        return adopted.isPresent();
    }

    boolean isSameAs(AssertingTensor other) {
        return owner == other.owner && first == other.first && spec().equals(other.spec());
    }

    boolean overlaps(AssertingTensor other) {
        return owner == other.owner
                && first < other.first + other.spec().elements()
                && other.first < first + spec().elements();
    }

    Tensor delegate() {
        return delegate;
    }

    @Override
    public String toString() {
        return (owner == this ? "tensor " : "view ") + spec();
    }
}
