package org.duoattention.backend.cuda;

import static org.duoattention.backend.cuda.Arguments.apart;
import static org.duoattention.backend.cuda.Arguments.illegal;
import static org.duoattention.backend.cuda.Arguments.sameOrApart;
import static org.duoattention.backend.cuda.Arguments.sameShape;

import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.function.Consumer;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Gradients;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Projection;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.backend.UnsupportedCapabilityException;
import org.duoattention.api.cache.SlotTable;

/**
 * Checks arguments and queues kernels. An operation holds the lock of the queue: whoever closes a tensor meanwhile flushes
 * the queue before it or after it.
 */
final class CudaStream implements ComputeStream {
    /** More than any operation but an embedding sets. */
    private static final int VARIABLE_BYTES = 64 << 10;

    private final CudaDevice device;
    private final Launches launches;
    private final Consumer<CudaStream> onClose;
    private final Thread owner = Thread.currentThread();
    private final Arguments arguments;
    private final DenseOperations dense;
    private final Linears linears;
    private final Selection selection;
    private final CudaGradients gradients;
    private boolean closed;

    CudaStream(CudaDevice device, Launches launches, Consumer<CudaStream> onClose) {
        this.device = device;
        this.launches = launches;
        this.onClose = onClose;
        this.arguments = new Arguments(device);
        this.dense = new DenseOperations(device, launches);
        this.linears = new Linears(device, launches);
        this.selection = new Selection(device, launches);
        this.gradients = new CudaGradients(
                () -> {
                    requireOpen();
                    launches.begin(VARIABLE_BYTES);
                },
                device,
                launches,
                dense);
    }

    private void requireOwner() {
        if (Thread.currentThread() != owner) {
            throw new WrongThreadException("a stream of " + device.backendId() + " belongs to " + owner + ", not to "
                    + Thread.currentThread());
        }
    }

    private void requireOpen() {
        requireOwner();
        device.requireOpen();
        if (closed) {
            throw new IllegalStateException("the stream is closed");
        }
    }

    private void require(Capability capability) {
        if (!device.capabilities().contains(capability)) {
            throw new UnsupportedCapabilityException(device.backendId(), capability);
        }
    }

    @Override
    public void upload(MemorySegment source, Tensor target) {
        requireOpen();
        CudaTensor tensor = arguments.target(target);
        Arguments.hostBytes(source, tensor.spec().byteSize(), "the tensor " + tensor.spec());
        synchronized (launches) {
            launches.begin(0);
            launches.upload(source, tensor.address());
        }
    }

    @Override
    public void download(Tensor source, MemorySegment target) {
        requireOpen();
        CudaTensor tensor = arguments.tensor(source);
        Arguments.hostBytes(target, tensor.spec().byteSize(), "the tensor " + tensor.spec());
        synchronized (launches) {
            launches.begin(0);
            launches.download(tensor.address(), target);
        }
    }

    @Override
    public void synchronize() {
        requireOpen();
        synchronized (launches) {
            launches.begin(0);
            launches.finish();
        }
    }

    @Override
    public void embed(Tensor table, int[] ids, Tensor out) {
        requireOpen();
        CudaTensor rows = arguments.linearWeight("the table", table);
        CudaTensor result = arguments.activationTarget("the output", out);
        if (!(rows.spec().rank() == 2
                && result.spec().extent(0) == ids.length
                && result.spec().extent(1) == rows.spec().extent(1))) {
            throw illegal(
                    "the rows of " + ids.length + " ids in the table " + rows.spec() + " do not give " + result.spec());
        }
        for (int id : ids) {
            if (!(id >= 0 && id < rows.spec().extent(0))) {
                throw illegal("token id " + id + " is not in the table " + rows.spec() + ": ids are 0 to "
                        + (rows.spec().extent(0) - 1));
            }
        }
        apart(result, rows);
        synchronized (launches) {
            dense.embed(rows, ids, result);
        }
    }

    @Override
    public void rmsNorm(Tensor x, Tensor weight, float epsilon, Tensor out) {
        requireOpen();
        CudaTensor input = arguments.activation("x", x);
        CudaTensor scale = arguments.weight("the weight", weight);
        CudaTensor result = arguments.activationTarget("the output", out);
        Arguments.norm(input, scale, result);
        synchronized (launches) {
            launches.begin(VARIABLE_BYTES);
            dense.rmsNorm(input, scale, epsilon, result);
        }
    }

    @Override
    public void linear(Tensor x, Projection projection) {
        linears(x, List.of(projection));
    }

    @Override
    public void linears(Tensor x, List<Projection> projections) {
        requireOpen();
        CudaTensor input = arguments.activation("x", x);
        for (Projection projection : projections) {
            arguments.projection(input, projection);
        }
        synchronized (launches) {
            launches.begin(VARIABLE_BYTES);
            linears.run(input, projections);
        }
    }

    @Override
    public void rope(Tensor x, int headDim, Rope rope, long position) {
        requireOpen();
        CudaTensor input = arguments.activationTarget("x", x);
        Arguments.rotation(input, headDim, rope, position);
        synchronized (launches) {
            launches.begin(VARIABLE_BYTES);
            dense.rope(input, headDim, rope, position);
        }
    }

    @Override
    public void swiGlu(Tensor gate, Tensor up, Tensor out) {
        requireOpen();
        CudaTensor g = arguments.activation("gate", gate);
        CudaTensor u = arguments.activation("up", up);
        CudaTensor result = arguments.activationTarget("the output", out);
        sameShape(g, u);
        sameShape(g, result);
        sameOrApart(result, g);
        sameOrApart(result, u);
        synchronized (launches) {
            launches.begin(VARIABLE_BYTES);
            dense.swiGlu(g, u, result);
        }
    }

    @Override
    public void add(Tensor target, Tensor x) {
        requireOpen();
        CudaTensor sum = arguments.activationTarget("the target", target);
        CudaTensor input = arguments.activation("x", x);
        sameShape(sum, input);
        sameOrApart(sum, input);
        synchronized (launches) {
            launches.begin(VARIABLE_BYTES);
            dense.add(sum, input);
        }
    }

    @Override
    public void addRmsNorm(Tensor target, Tensor x, Tensor weight, float epsilon, Tensor out) {
        requireOpen();
        CudaTensor sum = arguments.activationTarget("the target", target);
        CudaTensor input = arguments.activation("x", x);
        CudaTensor scale = arguments.weight("the weight", weight);
        CudaTensor result = arguments.activationTarget("the output", out);
        sameShape(sum, input);
        sameOrApart(sum, input);
        Arguments.norm(sum, scale, result);
        apart(result, input);
        synchronized (launches) {
            launches.begin(VARIABLE_BYTES);
            dense.addRmsNorm(sum, input, scale, epsilon, result);
        }
    }

    @Override
    public void topK(Tensor x, int k, MemorySegment indices, MemorySegment values) {
        requireOpen();
        CudaTensor input = arguments.activation("x", x);
        Arguments.topK(input, k, indices, values);
        synchronized (launches) {
            launches.begin(0);
            selection.topK(input, k, indices, values);
        }
    }

    @Override
    public void append(Slab slab, Tensor k, Tensor v) {
        requireOpen();
        CudaTensor keys = arguments.activation("k", k);
        CudaTensor values = arguments.activation("v", v);
        sameShape(keys, values);
        synchronized (launches) {
            launches.begin(VARIABLE_BYTES);
            device.slabs().append(launches, slab, keys, values);
        }
    }

    @Override
    public void attend(Slab slab, Tensor q, float scale, PrefillMode mode, Tensor out) {
        attendAll(List.of(slab), q, scale, mode, out);
    }

    @Override
    public void attendAll(List<Slab> slabs, Tensor q, float scale, PrefillMode mode, Tensor out) {
        requireOpen();
        CudaTensor queries = arguments.activation("q", q);
        CudaTensor result = arguments.activationTarget("the output", out);
        sameShape(queries, result);
        apart(result, queries);
        if (mode == PrefillMode.WINDOW) {
            require(Capability.WINDOW_PREFILL);
        }
        synchronized (launches) {
            launches.begin(VARIABLE_BYTES);
            device.slabs().attendAll(launches, slabs, queries, scale, mode, result);
        }
    }

    @Override
    public void evict(Slab slab) {
        requireOpen();
        device.slabs().evict(slab);
    }

    @Override
    public SlotTable slots(Slab slab, int head) {
        requireOpen();
        synchronized (launches) {
            launches.begin(VARIABLE_BYTES);
            return device.slabs().slots(launches, slab, head);
        }
    }

    @Override
    public void compact(Slab slab, List<int[]> keep) {
        requireOpen();
        synchronized (launches) {
            launches.begin(VARIABLE_BYTES);
            device.slabs().compact(launches, slab, keep);
        }
    }

    @Override
    public void truncate(Slab slab, long length) {
        requireOpen();
        require(Capability.ROLLBACK);
        device.slabs().truncate(slab, length);
    }

    @Override
    public long saveBytes(Slab slab) {
        requireOpen();
        require(Capability.SNAPSHOT);
        return device.slabs().saveBytes(slab);
    }

    @Override
    public void save(Slab slab, MemorySegment target) {
        requireOpen();
        require(Capability.SNAPSHOT);
        synchronized (launches) {
            launches.begin(VARIABLE_BYTES);
            device.slabs().save(launches, slab, target);
        }
    }

    @Override
    public void restore(Slab slab, MemorySegment source) {
        requireOpen();
        require(Capability.SNAPSHOT);
        synchronized (launches) {
            launches.begin(VARIABLE_BYTES);
            device.slabs().restore(launches, slab, source);
        }
    }

    @Override
    public Gradients gradients() {
        requireOpen();
        return gradients;
    }

    /** Waits for everything queued; called by any thread that closes a tensor or slab. */
    void finish() {
        launches.finishUnlessClosed();
    }

    /** Device memory that operations have for themselves; may be asked by any thread. */
    long scratchBytes() {
        return launches.scratchBytes();
    }

    /** Gives the queue's memory back; called by the owner, or by whoever closes the device. */
    void release() {
        try (selection) {
            try {
                launches.close();
            } finally {
                dense.close();
            }
        }
    }

    @Override
    public void close() {
        requireOwner();
        if (!closed) {
            closed = true;
            onClose.accept(this);
            release();
        }
    }
}
