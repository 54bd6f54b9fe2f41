package org.duoattention.backend.cpu.device;

import java.util.EnumSet;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.backend.UnsupportedCapabilityException;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.api.tensor.QuantizedSpec;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.backend.cpu.kernel.CpuKernels;
import org.duoattention.backend.cpu.memory.CpuTensor;
import org.duoattention.backend.cpu.memory.DeviceMemory;
import org.duoattention.backend.cpu.memory.MemoryLimit;

/** Host memory and a pool of threads. Operations run when they are called, on the pool; nothing is ever queued. */
public final class CpuDevice implements Device {
    private final String backendId;
    private final CpuKernels kernels;
    private final Set<Capability> capabilities;
    private final DeviceMemory memory;
    private final Workers workers;
    private final Set<CpuStream> streams = ConcurrentHashMap.newKeySet();

    /**
     * Starts the threads.
     *
     * @param backendId id of the backend
     * @param kernels the arithmetic
     * @param threads number of threads, at least 1
     * @param limit how much memory may be taken
     */
    public CpuDevice(String backendId, CpuKernels kernels, int threads, MemoryLimit limit) {
        this.backendId = backendId;
        this.kernels = kernels;
        this.capabilities = capabilities(kernels.hasScores());
        this.memory = new DeviceMemory(limit, kernels.layout());
        this.workers = new Workers(threads);
    }

    /** What the backend can do with kernels that have scores or not. */
    public static Set<Capability> capabilities(boolean scores) {
        EnumSet<Capability> all = EnumSet.allOf(Capability.class);
        if (!scores) {
            all.remove(Capability.SCORES);
        }
        return java.util.Collections.unmodifiableSet(all);
    }

    @Override
    public String backendId() {
        return backendId;
    }

    @Override
    public String description() {
        memory.requireOpen();
        return kernels.description() + ", " + workers.threads() + (workers.threads() == 1 ? " thread" : " threads");
    }

    @Override
    public Set<Capability> capabilities() {
        memory.requireOpen();
        return capabilities;
    }

    @Override
    public Tensor adopt(HostTensor tensor) {
        memory.requireOpen();
        return memory.adopt(tensor);
    }

    @Override
    public Tensor adopt(QuantizedMatrix matrix) {
        memory.requireOpen();
        Adoption.requireFinite(matrix);
        CpuTensor tensor = memory.allocate(matrix.spec(), kernels.quantizedBytes(matrix.spec()));
        try {
            Adoption.repack(kernels, workers, matrix, tensor.weight().segment());
        } catch (RuntimeException | Error e) {
            tensor.close();
            throw e;
        }
        return tensor;
    }

    @Override
    public Tensor allocate(TensorSpec spec) {
        memory.requireOpen();
        return memory.allocate(spec);
    }

    @Override
    public Slab allocate(SlabSpec spec) {
        memory.requireOpen();
        if (spec.retention().scores().isPresent() && !kernels.hasScores()) {
            throw new UnsupportedCapabilityException(backendId, Capability.SCORES);
        }
        return memory.allocate(spec);
    }

    @Override
    public long bytes(SlabSpec spec) {
        memory.requireOpen();
        return memory.bytes(spec);
    }

    @Override
    public long bytes(TensorSpec spec) {
        memory.requireOpen();
        return spec.byteSize();
    }

    @Override
    public long bytes(QuantizedSpec spec) {
        memory.requireOpen();
        return kernels.quantizedBytes(spec);
    }

    @Override
    public long allocatedBytes() {
        memory.requireOpen();
        return memory.allocatedBytes();
    }

    @Override
    public long availableBytes() {
        memory.requireOpen();
        return memory.availableBytes();
    }

    @Override
    public ComputeStream openStream() {
        memory.requireOpen();
        CpuStream stream = new CpuStream(backendId, kernels, memory, workers, streams::remove);
        streams.add(stream);
        return stream;
    }

    @Override
    public void close() {
        // The threads first: an operation that another thread has in progress still finds its memory.
        workers.close();
        streams.forEach(CpuStream::release);
        memory.close();
    }
}
