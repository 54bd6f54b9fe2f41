package org.duoattention.backend.cpu.memory;

import java.lang.foreign.MemorySegment;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import org.duoattention.api.backend.DeviceMemoryException;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.QuantizedSpec;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.backend.cpu.kernel.KvLayout;

/**
 * The tensors and slabs of one device and the exact account of their bytes. Thread-safe.
 *
 * <p>What is available is the smaller of two figures: what the system has to spare now, and what it had when the device
 * was opened less what was allocated since. The first knows of other programs; the second knows of pages that were
 * promised and not touched yet.
 */
public final class DeviceMemory implements AutoCloseable {
    private final MemoryLimit limit;
    private final KvLayout layout;
    private final long atOpen;
    private final AtomicLong allocated = new AtomicLong();
    private final Set<AutoCloseable> owned = ConcurrentHashMap.newKeySet();
    private volatile boolean closed;

    /**
     * Memory without tensors.
     *
     * @param limit how much may be taken
     * @param layout how slabs are laid out
     */
    public DeviceMemory(MemoryLimit limit, KvLayout layout) {
        this.limit = limit;
        this.layout = layout;
        this.atOpen = limit.availableBytes();
    }

    /** Throws {@link IllegalStateException} after close. */
    public void requireOpen() {
        if (closed) {
            throw new IllegalStateException("the device is closed");
        }
    }

    /** Bytes that tensors and slabs take. */
    public long allocatedBytes() {
        return allocated.get();
    }

    /** Bytes that can still be allocated. */
    public long availableBytes() {
        return Math.max(0, Math.min(limit.availableBytes(), atOpen - allocated.get()));
    }

    /** A tensor of zeros. */
    public CpuTensor allocate(TensorSpec spec) {
        requireRows(spec);
        NativeMemory memory = take("a tensor " + spec, spec.byteSize());
        return register(new CpuTensor(this, spec, memory));
    }

    /** An empty slab. */
    public CpuSlab allocate(SlabSpec spec) {
        SlabLayout places = new SlabLayout(spec, layout);
        NativeMemory memory = take(
                "a slab for layer " + spec.layer() + " heads " + spec.heads() + " and " + spec.slotCapacity()
                        + " tokens",
                places.bytes());
        return register(new CpuSlab(this, spec, places, memory));
    }

    /** Bytes of a slab. */
    public long bytes(SlabSpec spec) {
        return new SlabLayout(spec, layout).bytes();
    }

    /**
     * A tensor over host memory. Memory that not every thread can read, or that is on the Java heap where vector loads are
     * slow, is copied.
     */
    public CpuTensor adopt(HostTensor tensor) {
        DType dtype = tensor.spec().dtype();
        if (dtype != DType.F32 && dtype != DType.F16 && dtype != DType.BF16) {
            throw new IllegalArgumentException("weights are F32, F16 or BF16, not " + tensor.spec());
        }
        requireRows(tensor.spec());
        MemorySegment data = tensor.data();
        if (data.isNative() && isShared(data)) {
            return register(new CpuTensor(this, tensor.spec(), data.asReadOnly()));
        }
        NativeMemory copy =
                take("a copy of a tensor " + tensor.spec(), tensor.spec().byteSize());
        copy.segment().copyFrom(data);
        return register(new CpuTensor(this, tensor.spec(), copy).readOnly());
    }

    /** A quantised weight of zeros that takes {@code bytes} bytes; what it holds is written to its memory afterwards. */
    public CpuTensor allocate(QuantizedSpec spec, long bytes) {
        if (spec.columns() > Integer.MAX_VALUE) {
            throw new IllegalArgumentException(
                    "a row has at most " + Integer.MAX_VALUE + " elements, which " + spec + " exceeds");
        }
        return register(new CpuTensor(this, spec, take("a weight " + spec, bytes)));
    }

    /** Whether the threads of a pool can read host memory: it is not confined to one thread. */
    public static boolean isShared(MemorySegment segment) {
        return segment.isAccessibleBy(ANOTHER_THREAD);
    }

    private static void requireRows(TensorSpec spec) {
        if ((spec.rank() < 2 ? spec.elements() : spec.rowElements()) > Integer.MAX_VALUE) {
            throw new IllegalArgumentException(
                    "a row has at most " + Integer.MAX_VALUE + " elements, which " + spec + " exceeds");
        }
    }

    /** Stands for the threads of the pool: memory that it can read is not confined to one thread. */
    private static final Thread ANOTHER_THREAD = Thread.ofVirtual().unstarted(() -> {});

    private synchronized NativeMemory take(String what, long bytes) {
        requireOpen();
        long available = availableBytes();
        if (bytes > available) {
            throw new DeviceMemoryException(what, bytes, available);
        }
        try {
            NativeMemory memory = new NativeMemory(bytes);
            allocated.addAndGet(bytes);
            return memory;
        } catch (OutOfMemoryError e) {
            throw new DeviceMemoryException(what, bytes, available);
        }
    }

    private synchronized <T extends AutoCloseable> T register(T resource) {
        requireOpen();
        owned.add(resource);
        return resource;
    }

    void release(AutoCloseable resource, NativeMemory memory) {
        owned.remove(resource);
        memory.close();
        allocated.addAndGet(-memory.segment().byteSize());
    }

    void forget(AutoCloseable resource) {
        owned.remove(resource);
    }

    /** Closes every tensor and slab. */
    @Override
    public synchronized void close() {
        closed = true;
        for (AutoCloseable resource : owned) {
            switch (resource) {
                case CpuTensor tensor -> tensor.close();
                case CpuSlab slab -> slab.close();
                default -> throw new AssertionError(resource);
            }
        }
    }
}
