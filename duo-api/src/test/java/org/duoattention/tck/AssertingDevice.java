package org.duoattention.tck;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.api.tensor.QuantizedSpec;
import org.duoattention.api.tensor.TensorSpec;

/**
 * Watches how a caller uses a device. A caller that breaks the contract gets an {@link AssertionError} at once, and
 * {@link #assertClosed} fails later even if that error was swallowed. What it checks of streams: see {@link
 * AssertingStream}.
 */
public final class AssertingDevice implements Device {
    private final Device delegate;
    private final Set<AutoCloseable> open = new LinkedHashSet<>();
    private final List<String> violations = new ArrayList<>();
    private boolean closed;

    /** Watches the callers of a device, which it owns. */
    public AssertingDevice(Device delegate) {
        this.delegate = delegate;
    }

    @Override
    public String backendId() {
        return delegate.backendId();
    }

    @Override
    public String description() {
        return delegate.description();
    }

    @Override
    public Set<Capability> capabilities() {
        return delegate.capabilities();
    }

    @Override
    public Tensor adopt(HostTensor tensor) {
        checkOpen();
        check(tensor.data().scope().isAlive(), "adopted host memory is alive");
        return opened(new AssertingTensor(
                this, delegate.adopt(tensor), Optional.of(tensor.data().scope())));
    }

    @Override
    public Tensor adopt(QuantizedMatrix matrix) {
        checkOpen();
        check(matrix.codes().scope().isAlive(), "adopted host memory is alive");
        return opened(new AssertingTensor(
                this, delegate.adopt(matrix), Optional.of(Arena.global().scope())));
    }

    @Override
    public Tensor allocate(TensorSpec spec) {
        checkOpen();
        return opened(new AssertingTensor(this, delegate.allocate(spec), Optional.empty()));
    }

    @Override
    public Slab allocate(SlabSpec spec) {
        checkOpen();
        return opened(new AssertingSlab(this, delegate.allocate(spec)));
    }

    @Override
    public void reserve(List<Slab> slabs, long tokens) {
        checkOpen();
        List<Slab> inner = new ArrayList<>();
        for (Slab slab : slabs) {
            check(slab instanceof AssertingSlab mine && mine.belongsTo(this), slab + " is of this device");
            AssertingSlab mine = (AssertingSlab) slab;
            mine.checkUsable();
            inner.add(mine.delegate());
        }
        check(tokens >= 0, "memory is not reserved for " + tokens + " tokens");
        delegate.reserve(inner, tokens);
    }

    @Override
    public long bytes(SlabSpec spec) {
        checkOpen();
        return delegate.bytes(spec);
    }

    @Override
    public long bytes(TensorSpec spec) {
        checkOpen();
        return delegate.bytes(spec);
    }

    @Override
    public long bytes(QuantizedSpec spec) {
        checkOpen();
        return delegate.bytes(spec);
    }

    @Override
    public long allocatedBytes() {
        checkOpen();
        return delegate.allocatedBytes();
    }

    @Override
    public long availableBytes() {
        checkOpen();
        return delegate.availableBytes();
    }

    @Override
    public ComputeStream openStream() {
        checkOpen();
        return opened(new AssertingStream(this, delegate.openStream()));
    }

    @Override
    public synchronized void close() {
        if (!closed) {
            closed = true;
            if (!open.isEmpty()) {
                violations.add("closed before " + open);
            }
            delegate.close();
        }
    }

    /** Fails unless the caller kept to the contract, and closed everything and the device last. */
    public synchronized void assertClosed() {
        if (!closed) {
            throw new AssertionError("the device was not closed; open on it: " + open);
        }
        if (!violations.isEmpty()) {
            throw new AssertionError("the contract was broken: " + String.join("; ", violations));
        }
    }

    /** Tensors, slabs and streams that are open now; views do not count. */
    public synchronized int openCount() {
        return open.size();
    }

    synchronized void check(boolean condition, String rule) {
        if (!condition) {
            violations.add(rule);
            throw new AssertionError("expected: " + rule);
        }
    }

    synchronized void checkOpen() {
        check(!closed, "the device is open");
    }

    synchronized void released(AutoCloseable resource) {
        open.remove(resource);
    }

    private synchronized <T extends AutoCloseable> T opened(T resource) {
        open.add(resource);
        return resource;
    }
}
