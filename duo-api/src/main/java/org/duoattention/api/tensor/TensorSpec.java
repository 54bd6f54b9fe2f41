package org.duoattention.api.tensor;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/**
 * Element type and shape of a dense row-major tensor.
 *
 * @param dtype element type
 * @param shape extents, outermost first; each at least 0; an empty list is a scalar
 */
public record TensorSpec(DType dtype, List<Long> shape) {
    /** Checks that no extent is negative and that the byte size fits a {@code long}. */
    public TensorSpec {
        shape = List.copyOf(shape);
        for (long extent : shape) {
            if (extent < 0) {
                throw new IllegalArgumentException("negative extent in shape " + shape);
            }
        }
        byteSize(dtype, shape);
    }

    /** A spec with the given extents. */
    public static TensorSpec of(DType dtype, long... shape) {
        List<Long> extents = new ArrayList<>(shape.length);
        for (long extent : shape) {
            extents.add(extent);
        }
        return new TensorSpec(dtype, extents);
    }

    private static long byteSize(DType dtype, List<Long> shape) {
        if (shape.contains(0L)) {
            return 0;
        }
        try {
            long bytes = dtype.bytes();
            for (long extent : shape) {
                bytes = Math.multiplyExact(bytes, extent);
            }
            return bytes;
        } catch (ArithmeticException e) {
            throw new IllegalArgumentException("the byte size of " + dtype + " " + shape + " does not fit 64 bits", e);
        }
    }

    /** Number of dimensions. */
    public int rank() {
        return shape.size();
    }

    /** Extent of one dimension. */
    public long extent(int dimension) {
        return shape.get(dimension);
    }

    /** Number of elements. */
    public long elements() {
        return byteSize() / dtype.bytes();
    }

    /** Bytes of the whole tensor. */
    public long byteSize() {
        return byteSize(dtype, shape);
    }

    /** Extent of the first dimension; 1 for a scalar. */
    public long rows() {
        return shape.isEmpty() ? 1 : shape.get(0);
    }

    /** Elements of one row: the product of all extents but the first. */
    public long rowElements() {
        long elements = 1;
        for (int i = 1; i < shape.size(); i++) {
            elements *= shape.get(i);
        }
        return elements;
    }

    /** The same tensor with another number of rows. */
    public TensorSpec withRows(long rows) {
        List<Long> extents = new ArrayList<>(shape);
        extents.set(0, rows);
        return new TensorSpec(dtype, extents);
    }

    /** For example {@code BF16[128, 64]}. */
    @Override
    public String toString() {
        return dtype + shape.stream().map(String::valueOf).collect(Collectors.joining(", ", "[", "]"));
    }
}
