package org.duoattention.tck;

import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.DeviceMemoryException;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.backend.UnsupportedCapabilityException;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.api.tensor.QuantizedSpec;
import org.duoattention.api.tensor.TensorSpec;

/**
 * The device of {@link OpaqueBackend}. Numbers are doubles in private arrays; activations are not rounded until they are
 * downloaded, keys and values are rounded to the slab's type. Adopting copies. Byte counts are those of a real device.
 */
public final class OpaqueDevice implements Device {
    private final long memory;
    private final Set<Capability> capabilities;
    private final Set<AutoCloseable> open = new LinkedHashSet<>();
    private final List<String> leftAtClose = new ArrayList<>();
    private long allocated;
    private volatile boolean closed;

    OpaqueDevice(long memory, Set<Capability> capabilities) {
        this.memory = memory;
        this.capabilities = capabilities;
    }

    @Override
    public String backendId() {
        checkOpen();
        return "opaque";
    }

    @Override
    public String description() {
        checkOpen();
        return "float64 arithmetic for tests";
    }

    @Override
    public Set<Capability> capabilities() {
        checkOpen();
        return capabilities;
    }

    @Override
    public Tensor adopt(HostTensor tensor) {
        checkOpen();
        requireSupported(tensor.spec().dtype());
        int elements = elements(tensor.spec());
        double[] numbers = new double[elements];
        for (int i = 0; i < elements; i++) {
            numbers[i] = HostNumbers.get(tensor.spec().dtype(), tensor.data(), i);
        }
        return opened(new OpaqueTensor(this, tensor.spec(), numbers, 0, true));
    }

    @Override
    public Tensor adopt(QuantizedMatrix matrix) {
        checkOpen();
        require(Capability.QUANTIZED_WEIGHTS);
        QuantizedSpec format = matrix.spec();
        TensorSpec spec = TensorSpec.of(DType.F32, format.rows(), format.columns());
        double[] numbers = new double[elements(spec)];
        for (int i = 0; i < numbers.length; i++) {
            numbers[i] = matrix.valueAt(i / format.columns(), i % format.columns());
            if (!Double.isFinite(numbers[i])) {
                throw new IllegalArgumentException("a scale or offset of " + format + " is not finite");
            }
        }
        reserve(format.toString(), bytes(format));
        return opened(new OpaqueTensor(this, spec, format.format(), numbers, bytes(format), true));
    }

    @Override
    public long bytes(QuantizedSpec spec) {
        checkOpen();
        require(Capability.QUANTIZED_WEIGHTS);
        return spec.byteSize();
    }

    @Override
    public Tensor allocate(TensorSpec spec) {
        checkOpen();
        requireSupported(spec.dtype());
        int elements = elements(spec);
        reserve(spec.toString(), bytes(spec));
        return opened(new OpaqueTensor(this, spec, new double[elements], bytes(spec), false));
    }

    @Override
    public Slab allocate(SlabSpec spec) {
        checkOpen();
        long bytes = bytes(spec);
        if (spec.retention().scores().isPresent()) {
            require(Capability.SCORES);
        }
        reserve("a slab of layer " + spec.layer() + " heads " + spec.heads(), bytes);
        return opened(new OpaqueSlab(this, spec, bytes));
    }

    /** Keys and values as stored, and a position and a score per slot. */
    @Override
    public long bytes(SlabSpec spec) {
        checkOpen();
        if (spec.format() instanceof BlockFormat.Grouped grouped) {
            require(Capability.QUANTIZED_CACHE);
            if (!grouped.asymmetric() || grouped.scaleType() != DType.F16) {
                throw new IllegalArgumentException("a quantised cache has F16 scales and offsets, not " + grouped);
            }
        }
        long slot = 2 * spec.format().rowBytes(spec.shape().headDim()) + Long.BYTES + Float.BYTES;
        long slots = saturatedMultiply(spec.slotCapacity(), spec.heads().size());
        return saturatedMultiply(slots, slot);
    }

    private static long saturatedMultiply(long a, long b) {
        return Math.multiplyHigh(a, b) == 0 && a * b >= 0 ? a * b : Long.MAX_VALUE;
    }

    @Override
    public long bytes(TensorSpec spec) {
        checkOpen();
        return spec.byteSize();
    }

    @Override
    public synchronized long allocatedBytes() {
        checkOpen();
        return allocated;
    }

    @Override
    public synchronized long availableBytes() {
        checkOpen();
        return memory - allocated;
    }

    @Override
    public ComputeStream openStream() {
        checkOpen();
        return opened(new OpaqueStream(this));
    }

    @Override
    public synchronized void close() {
        if (closed) {
            return;
        }
        open.forEach(left -> leftAtClose.add(left.toString()));
        closed = true;
        open.clear();
        allocated = 0;
    }

    /** Tensors, slabs and streams that are open now; views and closed ones do not count. */
    public synchronized int openCount() {
        return open.size();
    }

    /** Whether the device was closed. */
    public boolean isClosed() {
        return closed;
    }

    /** Fails unless the device was closed after all that came from it. */
    public synchronized void assertNothingLeft() {
        if (!closed) {
            throw new AssertionError("the device was not closed; open on it: " + open);
        }
        if (!leftAtClose.isEmpty()) {
            throw new AssertionError("left open when the device was closed: " + leftAtClose);
        }
    }

    void checkOpen() {
        if (closed) {
            throw new IllegalStateException("the device is closed");
        }
    }

    void require(Capability capability) {
        if (!capabilities.contains(capability)) {
            throw new UnsupportedCapabilityException("opaque", capability);
        }
    }

    synchronized void released(AutoCloseable resource, long bytes) {
        if (open.remove(resource)) {
            allocated -= bytes;
        }
    }

    private synchronized <T extends AutoCloseable> T opened(T resource) {
        checkOpen();
        open.add(resource);
        return resource;
    }

    private synchronized void reserve(String what, long bytes) {
        if (bytes > memory - allocated) {
            throw new DeviceMemoryException(what, bytes, memory - allocated);
        }
        allocated += bytes;
    }

    private int elements(TensorSpec spec) {
        if (spec.elements() > Integer.MAX_VALUE - 8) {
            throw new DeviceMemoryException(spec.toString(), spec.byteSize(), availableBytes());
        }
        return (int) spec.elements();
    }

    private static void requireSupported(DType dtype) {
        if (dtype != DType.F32 && dtype != DType.F16 && dtype != DType.BF16) {
            throw new IllegalArgumentException("the opaque backend has no tensors of " + dtype);
        }
    }
}
