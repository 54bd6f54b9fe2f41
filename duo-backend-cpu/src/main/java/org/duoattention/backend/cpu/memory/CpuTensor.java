package org.duoattention.backend.cpu.memory;

import java.lang.foreign.MemorySegment;
import java.util.concurrent.atomic.AtomicBoolean;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.QuantizedSpec;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.backend.cpu.kernel.Matrix;
import org.duoattention.backend.cpu.kernel.QuantizedWeight;
import org.duoattention.backend.cpu.kernel.Weight;
import org.jspecify.annotations.Nullable;

/** A tensor in host memory: allocated, adopted, or a view of rows of one that is. */
public final class CpuTensor implements Tensor {
    private final DeviceMemory device;
    private final TensorSpec spec;
    private final CpuTensor owner;
    private final @Nullable NativeMemory memory;
    private final boolean readOnly;
    private final Weight weight;
    private final AtomicBoolean closed = new AtomicBoolean();

    private CpuTensor(
            DeviceMemory device,
            TensorSpec spec,
            @Nullable CpuTensor owner,
            @Nullable NativeMemory memory,
            boolean readOnly,
            Weight weight) {
        this.device = device;
        this.spec = spec;
        this.owner = owner == null ? this : owner;
        this.memory = memory;
        this.readOnly = readOnly;
        this.weight = weight;
    }

    private static Matrix matrix(TensorSpec spec, MemorySegment segment, long offset) {
        boolean vector = spec.rank() < 2;
        long columns = vector ? spec.elements() : spec.rowElements();
        return new Matrix(segment, offset, spec.dtype(), vector ? 1 : spec.rows(), Math.toIntExact(columns));
    }

    /** An allocated tensor. */
    CpuTensor(DeviceMemory device, TensorSpec spec, NativeMemory memory) {
        this(device, spec, null, memory, false, matrix(spec, memory.segment(), 0));
    }

    /** An adopted tensor. */
    CpuTensor(DeviceMemory device, TensorSpec spec, MemorySegment data) {
        this(device, spec, null, null, true, matrix(spec, data, 0));
    }

    /** A quantised weight, still to be written. */
    CpuTensor(DeviceMemory device, QuantizedSpec spec, NativeMemory memory) {
        this(
                device,
                TensorSpec.of(DType.F32, spec.rows(), spec.columns()),
                null,
                memory,
                true,
                new QuantizedWeight(memory.segment(), spec));
    }

    /** The same memory, which no operation may write to from now on. Replaces this object. */
    CpuTensor readOnly() {
        return new CpuTensor(device, spec, null, memory, true, weight);
    }

    @Override
    public TensorSpec spec() {
        return spec;
    }

    @Override
    public BlockFormat format() {
        return weight instanceof QuantizedWeight quantized ? quantized.format() : new BlockFormat.Dense(spec.dtype());
    }

    /** Whether it is a quantised weight. */
    public boolean isQuantized() {
        return weight instanceof QuantizedWeight;
    }

    /** The tensor's elements, quantised or not. */
    public Weight weight() {
        return weight;
    }

    /** The elements of a tensor that is not quantised; a tensor of one dimension is one row. */
    public Matrix matrix() {
        return (Matrix) weight;
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
        if (!weight.segment().scope().isAlive()) {
            throw new IllegalStateException("the host memory behind the adopted tensor " + spec + " is gone");
        }
    }

    /** Whether two tensors share bytes. */
    public boolean overlaps(CpuTensor other) {
        if (isQuantized() || other.isQuantized()) {
            return this == other;
        }
        long start = matrix().segment().address() + matrix().offset();
        long otherStart = other.matrix().segment().address() + other.matrix().offset();
        return start < otherStart + other.spec.byteSize() && otherStart < start + spec.byteSize();
    }

    @Override
    public Tensor rows(long first, long count) {
        requireOpen();
        if (isQuantized()) {
            throw new UnsupportedOperationException("rows of the quantised weight " + spec + " are no tensor");
        }
        if (first < 0 || count < 0 || count > spec.rows() - first || spec.rank() == 0) {
            throw new IndexOutOfBoundsException("rows " + first + " to " + (first + count) + " of " + spec);
        }
        long offset =
                matrix().offset() + first * spec.rowElements() * spec.dtype().bytes();
        TensorSpec rows = spec.withRows(count);
        return new CpuTensor(device, rows, owner, null, readOnly, matrix(rows, matrix().segment(), offset));
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
