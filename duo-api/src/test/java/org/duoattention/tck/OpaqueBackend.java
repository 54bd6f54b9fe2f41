package org.duoattention.tck;

import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Probe;
import org.duoattention.api.backend.Requirements;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;

/**
 * A fake backend for the tests of its callers: float64 arithmetic on memory that the host cannot read, run as late as
 * the contract allows. What a caller reads too early is NaN, what it forgets to close is counted, and what it assumes of
 * a backend beyond the contract fails. Not registered as a service.
 *
 * @see OpaqueDevice
 */
public final class OpaqueBackend implements AttentionBackend {
    /** Bytes that a device has unless said otherwise. */
    public static final long DEFAULT_MEMORY = 1L << 36;

    private static final Set<DType> WEIGHTS = EnumSet.of(DType.F32, DType.F16, DType.BF16);

    private final long memory;
    private final Set<Capability> capabilities;
    private final List<OpaqueDevice> devices = new CopyOnWriteArrayList<>();

    /** A backend with every capability and {@link #DEFAULT_MEMORY}. */
    public OpaqueBackend() {
        this(DEFAULT_MEMORY, Set.of());
    }

    /**
     * A backend with limits.
     *
     * @param memory bytes that each of its devices has
     * @param missing the capabilities that its devices lack
     */
    public OpaqueBackend(long memory, Set<Capability> missing) {
        this.memory = memory;
        EnumSet<Capability> all = EnumSet.allOf(Capability.class);
        all.removeAll(missing);
        this.capabilities = Set.copyOf(all);
    }

    @Override
    public String id() {
        return "opaque";
    }

    @Override
    public Probe probe(Requirements requirements) {
        List<String> reasons = new ArrayList<>();
        if (!WEIGHTS.containsAll(requirements.weightTypes())) {
            reasons.add("weights are F32, F16 or BF16, not " + requirements.weightTypes());
        }
        if (requirements.kv() instanceof BlockFormat.Grouped && !capabilities.contains(Capability.QUANTIZED_CACHE)) {
            reasons.add("no " + requirements.kv().label() + " cache; choose f32, f16 or bf16");
        }
        if (!capabilities.containsAll(requirements.capabilities())) {
            reasons.add("has only " + capabilities);
        }
        return reasons.isEmpty() ? new Probe.Usable(-1, "float64 arithmetic for tests") : new Probe.Unusable(reasons);
    }

    @Override
    public Device open(Map<String, String> options) {
        if (!options.isEmpty()) {
            throw new IllegalArgumentException("the opaque backend has no options, got " + options.keySet());
        }
        return openOpaque();
    }

    /** Opens a device as {@link #open} does. */
    public OpaqueDevice openOpaque() {
        OpaqueDevice device = new OpaqueDevice(memory, capabilities);
        devices.add(device);
        return device;
    }

    /** The devices that were opened, closed ones too, in the order of opening. */
    public List<OpaqueDevice> devices() {
        return List.copyOf(devices);
    }

    /** Fails unless everything that callers own on the devices of this backend was closed, and the devices too. */
    public void assertClosed() {
        for (OpaqueDevice device : devices) {
            device.assertNothingLeft();
        }
    }
}
