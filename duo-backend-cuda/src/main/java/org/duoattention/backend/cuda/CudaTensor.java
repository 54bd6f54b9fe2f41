package org.duoattention.backend.cuda;

import java.util.concurrent.atomic.AtomicBoolean;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.QuantizedSpec;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.backend.cuda.driver.DeviceMemory;
import org.jspecify.annotations.Nullable;

/** A tensor in device memory: allocated, uploaded, or a view of rows of one that is. */
final class CudaTensor implements Tensor {
    private final CudaDevice device;
    private final TensorSpec spec;
    private final CudaTensor owner;
    private final DeviceMemory.Block block;
    private final long address;
    private final boolean readOnly;
    private final @Nullable QuantizedSpec quantized;
    private final AtomicBoolean closed = new AtomicBoolean();

    private CudaTensor(
            CudaDevice device,
            TensorSpec spec,
            @Nullable CudaTensor owner,
            DeviceMemory.Block block,
            long address,
            boolean readOnly,
            @Nullable QuantizedSpec quantized) {
        this.device = device;
        this.spec = spec;
        this.owner = owner == null ? this : owner;
        this.block = block;
        this.address = address;
        this.readOnly = readOnly;
        this.quantized = quantized;
    }

    /** A dense tensor at the beginning of a block. */
    static CudaTensor dense(CudaDevice device, TensorSpec spec, DeviceMemory.Block block, boolean readOnly) {
        return new CudaTensor(device, spec, null, block, block.address(), readOnly, null);
    }

    /** A quantised weight in a block. */
    static CudaTensor quantized(CudaDevice device, QuantizedSpec spec, DeviceMemory.Block block) {
        TensorSpec values = TensorSpec.of(DType.F32, spec.rows(), spec.columns());
        return new CudaTensor(device, values, null, block, block.address(), true, spec);
    }

    @Override
    public TensorSpec spec() {
        return spec;
    }

    @Override
    public BlockFormat format() {
        return quantized == null ? new BlockFormat.Dense(spec.dtype()) : quantized.format();
    }

    /** Format and extents of a quantised weight; null for any other tensor. */
    @Nullable
    QuantizedSpec quantized() {
        return quantized;
    }

    /** Device address of the first element. */
    long address() {
        return address;
    }

    /** Whether operations may not write to it. */
    boolean isReadOnly() {
        return readOnly;
    }

    boolean belongsTo(CudaDevice other) {
        return device == other;
    }

    /** Throws {@link IllegalStateException} after close of the tensor, of the owner of a view, or of the device. */
    void requireOpen() {
        device.requireOpen();
        if (owner.closed.get()) {
            throw new IllegalStateException("the tensor " + spec + " is closed");
        }
    }

    /** Whether two tensors share bytes. */
    boolean overlaps(CudaTensor other) {
        if (quantized != null || other.quantized != null) {
            return this == other;
        }
        return address < other.address + other.spec.byteSize() && other.address < address + spec.byteSize();
    }

    @Override
    public Tensor rows(long first, long count) {
        requireOpen();
        if (quantized != null) {
            throw new UnsupportedOperationException("rows of the quantised weight " + spec + " are no tensor");
        }
        if (first < 0 || count < 0 || count > spec.rows() - first || spec.rank() == 0) {
            throw new IndexOutOfBoundsException("rows " + first + " to " + (first + count) + " of " + spec);
        }
        long offset = first * spec.rowElements() * spec.dtype().bytes();
        return new CudaTensor(device, spec.withRows(count), owner, block, address + offset, readOnly, null);
    }

    @Override
    public void close() {
        if (owner == this && closed.compareAndSet(false, true)) {
            device.release(this, block);
        }
    }
}
