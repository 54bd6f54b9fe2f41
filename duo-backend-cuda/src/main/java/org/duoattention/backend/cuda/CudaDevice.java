package org.duoattention.backend.cuda;

import java.lang.foreign.MemorySegment;
import java.util.Collections;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.api.tensor.QuantizedSpec;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.backend.cuda.driver.Context;
import org.duoattention.backend.cuda.driver.CudaException;
import org.duoattention.backend.cuda.driver.DeviceInfo;
import org.duoattention.backend.cuda.driver.DeviceMemory;
import org.duoattention.backend.cuda.driver.GrowingBlock;
import org.duoattention.backend.cuda.kernel.KernelImages;

/** One GPU: its memory, its kernels, and the streams that work on it. */
final class CudaDevice implements Device {
    private static final Set<Capability> CAPABILITIES = Collections.unmodifiableSet(EnumSet.allOf(Capability.class));
    private static final long STAGING_BYTES = 16L << 20;
    /**
     * The most that operations come to take for themselves: inputs rounded to two types, their sums, and the workspace of a
     * library ({@link TensorCoreLinears}); parts of an attention take less. It is held back until a stream has it.
     */
    private static final long SCRATCH_BYTES = 176L << 20;

    private final CudaOptions options;
    private final Context context;
    private final DeviceMemory memory;
    private final Kernels kernels;
    private final SlabOperations slabs;
    private final AtomicLong allocated = new AtomicLong();
    private final Set<AutoCloseable> owned = ConcurrentHashMap.newKeySet();
    private final Set<CudaStream> streams = ConcurrentHashMap.newKeySet();
    /** For what is done at once: zeros of new tensors and the upload of weights. Guarded by {@code transfers}. */
    private final Object transfers = new Object();

    private final long transferStream;
    private final Staging staging;
    private final Products products;
    private volatile boolean closed;

    /**
     * Takes the context over and closes it.
     *
     * @param libraries whether NVIDIA's libraries may be used; they know NVIDIA's own driver only
     */
    CudaDevice(Context context, KernelImages images, CudaOptions options, boolean libraries) {
        this.options = options;
        this.context = context;
        this.memory = new DeviceMemory(context);
        this.kernels = new Kernels(context, images);
        this.slabs = new SlabOperations(this);
        this.transferStream = context.createStream();
        this.staging = new Staging(context, STAGING_BYTES);
        this.products = libraries ? Products.open(context, memory) : Products.none();
    }

    /** What a device can do. */
    static Set<Capability> everyCapability() {
        return CAPABILITIES;
    }

    @Override
    public String backendId() {
        return CudaBackend.ID;
    }

    @Override
    public String description() {
        requireOpen();
        return context.info().name() + ", " + products.remark();
    }

    @Override
    public Set<Capability> capabilities() {
        requireOpen();
        return CAPABILITIES;
    }

    /** Throws {@link IllegalStateException} after close. */
    void requireOpen() {
        if (closed) {
            throw new IllegalStateException("the device is closed");
        }
    }

    /** Whether activations are never rounded for tensor cores. */
    boolean isExact() {
        return options.exact();
    }

    DeviceInfo info() {
        return context.info();
    }

    Context context() {
        return context;
    }

    DeviceMemory memory() {
        return memory;
    }

    Kernels kernels() {
        return kernels;
    }

    /** NVIDIA's matrix products, where they can be used. */
    Products products() {
        return products;
    }

    SlabOperations slabs() {
        return slabs;
    }

    @Override
    public Tensor adopt(HostTensor tensor) {
        requireOpen();
        DType dtype = tensor.spec().dtype();
        if (dtype != DType.F32 && dtype != DType.F16 && dtype != DType.BF16) {
            throw new IllegalArgumentException("weights are F32, F16 or BF16, not " + tensor.spec());
        }
        requireWidth(
                tensor.spec().rank() < 2
                        ? tensor.spec().elements()
                        : tensor.spec().rowElements(),
                tensor.spec());
        DeviceMemory.Block block =
                take("a copy of a tensor " + tensor.spec(), tensor.spec().byteSize());
        try {
            uploadNow(tensor.data(), block.address());
        } catch (RuntimeException | Error e) {
            giveBack(block);
            throw e;
        }
        return register(CudaTensor.dense(this, tensor.spec(), block, true));
    }

    @Override
    public Tensor adopt(QuantizedMatrix matrix) {
        requireOpen();
        QuantizedLayout.requireFinite(matrix);
        QuantizedSpec spec = matrix.spec();
        requireWidth(spec.columns(), spec);
        QuantizedLayout layout = QuantizedLayout.of(spec);
        DeviceMemory.Block block = take("a weight " + spec, layout.bytes());
        try {
            layout.upload(this, matrix, block.address());
        } catch (RuntimeException | Error e) {
            giveBack(block);
            throw e;
        }
        return register(CudaTensor.quantized(this, spec, block));
    }

    /** Kernels count the elements of a row and the rows in 32 bits. */
    private static void requireWidth(long elements, Object spec) {
        if (elements > Integer.MAX_VALUE / 2) {
            throw new IllegalArgumentException(
                    "a row has at most " + Integer.MAX_VALUE / 2 + " elements, which " + spec + " exceeds");
        }
    }

    @Override
    public Tensor allocate(TensorSpec spec) {
        requireOpen();
        requireWidth(spec.rank() < 2 ? spec.elements() : spec.rowElements(), spec);
        return register(CudaTensor.dense(this, spec, zeros("a tensor " + spec, spec.byteSize()), false));
    }

    @Override
    public Slab allocate(SlabSpec spec) {
        requireOpen();
        return slabs.allocate(spec);
    }

    @Override
    public long bytes(SlabSpec spec) {
        requireOpen();
        return slabs.bytes(spec);
    }

    @Override
    public long bytes(TensorSpec spec) {
        requireOpen();
        return DeviceMemory.blockBytes(spec.byteSize());
    }

    @Override
    public long bytes(QuantizedSpec spec) {
        requireOpen();
        return QuantizedLayout.of(spec).bytes();
    }

    @Override
    public void reserve(List<Slab> cache, long tokens) {
        requireOpen();
        slabs.reserve(cache, tokens);
    }

    @Override
    public long allocatedBytes() {
        requireOpen();
        return allocated.get();
    }

    @Override
    public long availableBytes() {
        requireOpen();
        long scratch =
                streams.stream().mapToLong(CudaStream::scratchBytes).max().orElse(0);
        return Math.max(0, memory.availableBytes() - Math.max(0, SCRATCH_BYTES - scratch));
    }

    @Override
    public ComputeStream openStream() {
        requireOpen();
        CudaStream stream = new CudaStream(this, new Launches(context, memory), streams::remove);
        streams.add(stream);
        return stream;
    }

    /** A block that counts as allocated; its content is whatever was there. */
    DeviceMemory.Block take(String what, long bytes) {
        DeviceMemory.Block block = memory.allocate(what, bytes);
        allocated.addAndGet(block.bytes());
        return block;
    }

    /** Addresses for so many bytes, which count as allocated. */
    GrowingBlock takeGrowing(String what, long bytes) {
        GrowingBlock block = memory.allocateGrowing(what, bytes);
        allocated.addAndGet(block.bytes());
        return block;
    }

    /** A block of zeros that counts as allocated. */
    DeviceMemory.Block zeros(String what, long bytes) {
        DeviceMemory.Block block = take(what, bytes);
        if (block.bytes() > 0) {
            synchronized (transfers) {
                context.enter();
                context.driver().call("cuMemsetD8Async", block.address(), (byte) 0, block.bytes(), transferStream);
                context.driver().streamSynchronize(transferStream);
            }
        }
        return block;
    }

    /** Copies host memory to the device and waits for it. */
    void uploadNow(MemorySegment source, long target) {
        synchronized (transfers) {
            context.enter();
            staging.upload(source, target, transferStream);
            context.driver().streamSynchronize(transferStream);
        }
    }

    /** Makes a tensor or slab one that is closed with the device. */
    <T extends AutoCloseable> T register(T resource) {
        owned.add(resource);
        return resource;
    }

    /** Takes a closed tensor or slab off the list and frees its memory, when the work that is queued for it is done. */
    void release(AutoCloseable resource, DeviceMemory.Taken taken) {
        if (!owned.remove(resource)) {
            return;
        }
        if (!closed) {
            finishStreams();
        }
        giveBack(taken);
    }

    /** Waits for everything that is queued. */
    void finishStreams() {
        streams.forEach(CudaStream::finish);
    }

    private void giveBack(DeviceMemory.Taken taken) {
        memory.free(taken);
        allocated.addAndGet(-taken.bytes());
    }

    @Override
    public synchronized void close() {
        if (closed) {
            return;
        }
        closed = true;
        streams.forEach(stream -> {
            try {
                stream.release();
            } catch (CudaException e) {
                // Whoever synchronised was told; a device whose work failed is closed all the same.
            }
        });
        for (AutoCloseable resource : owned) {
            try {
                resource.close();
            } catch (Exception e) {
                throw new IllegalStateException("a resource of the device could not be closed", e);
            }
        }
        synchronized (transfers) {
            staging.close();
            context.destroyStream(transferStream);
        }
        products.close();
        kernels.close();
        memory.close();
        context.close();
    }
}
