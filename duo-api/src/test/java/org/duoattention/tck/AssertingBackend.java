package org.duoattention.tck;

import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Probe;
import org.duoattention.api.backend.Requirements;

/** A backend whose devices are {@link AssertingDevice}s: it watches how its caller uses another backend. */
public final class AssertingBackend implements AttentionBackend {
    private final AttentionBackend delegate;
    private final List<AssertingDevice> devices = new CopyOnWriteArrayList<>();

    /** Watches the callers of a backend. */
    public AssertingBackend(AttentionBackend delegate) {
        this.delegate = delegate;
    }

    @Override
    public String id() {
        return delegate.id();
    }

    @Override
    public Probe probe(Requirements requirements) {
        return delegate.probe(requirements);
    }

    @Override
    public Device open(Map<String, String> options) {
        AssertingDevice device = new AssertingDevice(delegate.open(options));
        devices.add(device);
        return device;
    }

    /** The devices that were opened, in order. */
    public List<AssertingDevice> devices() {
        return List.copyOf(devices);
    }

    /** Fails unless callers kept to the contract and closed everything that they opened. */
    public void assertClosed() {
        devices.forEach(AssertingDevice::assertClosed);
    }
}
