package org.duoattention.backend.cpu.memory;

import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicBoolean;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.backend.cpu.kernel.Matrix;
import org.jspecify.annotations.Nullable;

/** A tensor in host memory: allocated, adopted, or a view of rows of one that is. */
public final class CpuTensor implements Tensor {
    private final DeviceMemory device;
    private final TensorSpec spec;
    private final CpuTensor owner;
    private final @Nullable NativeMemory memory;
    private final boolean readOnly;
    private final Matrix matrix;
    private final AtomicBoolean closed = new AtomicBoolean();

    private CpuTensor(
            DeviceMemory device,
            TensorSpec spec,
            @Nullable CpuTensor owner,
            @Nullable NativeMemory memory,
            boolean readOnly,
            MemorySegment segment,
            long offset) {
        this.device = device;
        this.spec = spec;
        this.owner = owner == null ? this : owner;
        this.memory = memory;
        this.readOnly = readOnly;
        boolean vector = spec.rank() < 2;
        long columns = vector ? spec.elements() : spec.rowElements();
        this.matrix = new Matrix(segment, offset, spec.dtype(), vector ? 1 : spec.rows(), Math.toIntExact(columns));
    }

    /** An allocated tensor. */
    CpuTensor(DeviceMemory device, TensorSpec spec, NativeMemory memory) {
        this(device, spec, null, memory, false, memory.segment(), 0);
    }

    /** An adopted tensor. */
    CpuTensor(DeviceMemory device, TensorSpec spec, MemorySegment data) {
        this(device, spec, null, null, true, data, 0);
    }

    /** The same memory, which no operation may write to from now on. Replaces this object. */
    CpuTensor readOnly() {
        return new CpuTensor(device, spec, null, memory, true, matrix.segment(), 0);
    }

    @Override
    public TensorSpec spec() {
        return spec;
    }

    /** The tensor's elements; a tensor of one dimension is one row. */
    public Matrix matrix() {
        return matrix;
    }

    /** Whether operations may not write to it. */
    public boolean isReadOnly() {
        return readOnly;
    }

    /** Whether it is memory of this device. */
    public boolean belongsTo(DeviceMemory other) {
        return device == other;
    }

    /** Throws {@link IllegalStateException} after close of the tensor, of the owner of a view, or of adopted memory. */
    public void requireOpen() {
        device.requireOpen();
        if (owner.closed.get()) {
            throw new IllegalStateException("the tensor " + spec + " is closed");
        }
        if (!matrix.segment().scope().isAlive()) {
            throw new IllegalStateException("the host memory behind the adopted tensor " + spec + " is gone");
        }
    }

    /** Whether two tensors share bytes. */
    public boolean overlaps(CpuTensor other) {
        long start = matrix.segment().address() + matrix.offset();
        long otherStart = other.matrix.segment().address() + other.matrix.offset();
        return start < otherStart + other.spec.byteSize() && otherStart < start + spec.byteSize();
    }

    @Override
    public Tensor rows(long first, long count) {
        requireOpen();
        if (first < 0 || count < 0 || count > spec.rows() - first || spec.rank() == 0) {
            throw new IndexOutOfBoundsException("rows " + first + " to " + (first + count) + " of " + spec);
        }
        long offset =
                matrix.offset() + first * spec.rowElements() * spec.dtype().bytes();
        return new CpuTensor(device, spec.withRows(count), owner, null, readOnly, matrix.segment(), offset);
    }

    @Override
    public void close() {
        if (owner != this || !closed.compareAndSet(false, true)) {
            return;
        }
        if (memory == null) {
            device.forget(this);
        } else {
            device.release(this, memory);
        }
    }
}
