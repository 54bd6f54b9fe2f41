package org.duoattention.tck;

import java.util.Arrays;
import java.util.Objects;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.TensorSpec;

/** A tensor of {@link OpaqueDevice}: a range of an array of doubles. */
final class OpaqueTensor implements Tensor {
    private final OpaqueDevice device;
    private final TensorSpec spec;
    private final BlockFormat format;
    private final double[] numbers;
    private final int offset;
    private final OpaqueTensor owner;
    private final long bytes;
    private final boolean readOnly;
    private volatile boolean closed;

    OpaqueTensor(OpaqueDevice device, TensorSpec spec, double[] numbers, long bytes, boolean readOnly) {
        this(device, spec, new BlockFormat.Dense(spec.dtype()), numbers, bytes, readOnly);
    }

    OpaqueTensor(
            OpaqueDevice device, TensorSpec spec, BlockFormat format, double[] numbers, long bytes, boolean readOnly) {
        this.device = device;
        this.spec = spec;
        this.format = format;
        this.numbers = numbers;
        this.offset = 0;
        this.owner = this;
        this.bytes = bytes;
        this.readOnly = readOnly;
    }

    private OpaqueTensor(OpaqueTensor owner, TensorSpec spec, int offset) {
        this.device = owner.device;
        this.spec = spec;
        this.format = owner.format;
        this.numbers = owner.numbers;
        this.offset = offset;
        this.owner = owner;
        this.bytes = 0;
        this.readOnly = owner.readOnly;
    }

    @Override
    public TensorSpec spec() {
        device.checkOpen();
        return spec;
    }

    @Override
    public BlockFormat format() {
        device.checkOpen();
        return format;
    }

    boolean isQuantized() {
        return format instanceof BlockFormat.Grouped;
    }

    @Override
    public Tensor rows(long first, long count) {
        checkOpen();
        if (isQuantized()) {
            throw new UnsupportedOperationException("rows of the quantised tensor " + spec);
        }
        Objects.checkFromIndexSize(first, count, spec.rows());
        return new OpaqueTensor(owner, spec.withRows(count), offset + (int) (first * spec.rowElements()));
    }

    @Override
    public void close() {
        if (owner == this) {
            closed = true;
            device.released(this, bytes);
        }
    }

    void checkOpen() {
        device.checkOpen();
        if (owner.closed) {
            throw new IllegalStateException("the tensor " + spec + " is closed");
        }
    }

    boolean belongsTo(OpaqueDevice other) {
        return device == other;
    }

    boolean isReadOnly() {
        return readOnly;
    }

    boolean overlaps(OpaqueTensor other) {
        return owner == other.owner && offset < other.offset + other.size() && other.offset < offset + size();
    }

    boolean isSameAs(OpaqueTensor other) {
        return owner == other.owner && offset == other.offset && spec.equals(other.spec);
    }

    int size() {
        return (int) spec.elements();
    }

    /** The numbers; the caller does not change them. */
    double[] read() {
        return offset == 0 && size() == numbers.length ? numbers : Arrays.copyOfRange(numbers, offset, offset + size());
    }

    void write(double[] values) {
        System.arraycopy(values, 0, numbers, offset, values.length);
    }

    void write(int index, double[] values) {
        System.arraycopy(values, 0, numbers, offset + index, values.length);
    }

    @Override
    public String toString() {
        return "tensor " + spec;
    }
}
