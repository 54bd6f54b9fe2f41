package org.duoattention.backend.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.api.tensor.QuantizedSpec;
import org.duoattention.backend.cuda.driver.DeviceMemory;

/**
 * Where the parts of a quantised weight lie in its block: the rows of codes, each a multiple of four bytes, then the
 * scales {@code [rows, groups]}, with the offset beside each scale where there are offsets. {@code quantized.cuh} reads it.
 *
 * @param spec format and extents
 * @param stride bytes from one row of codes to the next
 * @param scales offset of the scales in the block
 */
record QuantizedLayout(QuantizedSpec spec, long stride, long scales) {
    private static final int ROW_ALIGNMENT = 4;
    /** Rows whose padded codes or paired scales are made on the host at a time take about this many bytes. */
    private static final long PIECE = 4L << 20;

    static QuantizedLayout of(QuantizedSpec spec) {
        long row = spec.codeBytes() / spec.rows();
        long stride = Math.ceilDiv(row, ROW_ALIGNMENT) * ROW_ALIGNMENT;
        return new QuantizedLayout(spec, stride, DeviceMemory.blockBytes(Math.multiplyExact(stride, spec.rows())));
    }

    /** Bytes of the block. */
    long bytes() {
        return DeviceMemory.blockBytes(Math.addExact(scales, spec.scaleBytes() + spec.offsetBytes()));
    }

    /** The number of the kind of scales in {@code quantized.cuh}. */
    int kind() {
        return (spec.format().asymmetric() ? 2 : 0) + (spec.format().scaleType() == DType.F32 ? 1 : 0);
    }

    /** The logarithm of the group, where kernels can take whole words of codes; else -1. */
    int shift() {
        int group = spec.format().group();
        return Integer.bitCount(group) == 1 && group >= 8 ? Integer.numberOfTrailingZeros(group) : -1;
    }

    /**
     * Throws when a scale or an offset is infinite or no number.
     *
     * @throws IllegalArgumentException naming the group
     */
    static void requireFinite(QuantizedMatrix matrix) {
        QuantizedSpec spec = matrix.spec();
        for (long row = 0; row < spec.rows(); row++) {
            for (long group = 0; group < spec.groups(); group++) {
                if (!Float.isFinite(matrix.scaleAt(row, group))) {
                    throw notFinite(spec, "scale", row, group, matrix.scaleAt(row, group));
                }
                if (spec.format().asymmetric() && !Double.isFinite(matrix.offsetAt(row, group))) {
                    throw notFinite(spec, "offset", row, group, matrix.offsetAt(row, group));
                }
            }
        }
    }

    private static IllegalArgumentException notFinite(
            QuantizedSpec spec, String what, long row, long group, double value) {
        return new IllegalArgumentException("the " + what + " of group " + group + " in row " + row + " of " + spec
                + " is " + value + "; it must be finite");
    }

    /** Copies a matrix into a block at an address. */
    void upload(CudaDevice device, QuantizedMatrix matrix, long address) {
        long row = spec.codeBytes() / spec.rows();
        if (row == stride) {
            device.uploadNow(matrix.codes(), address);
        } else {
            interleave(device, spec.rows(), row, stride, address, matrix.codes());
        }
        BlockFormat.Grouped format = spec.format();
        long scale = format.scaleType().bytes();
        if (format.asymmetric()) {
            interleave(
                    device,
                    spec.rows() * spec.groups(),
                    scale,
                    2 * scale,
                    address + scales,
                    matrix.scales(),
                    matrix.offsets());
        } else {
            device.uploadNow(matrix.scales(), address + scales);
        }
    }

    /** Uploads records of {@code stride} bytes: {@code bytes} bytes of each source, then zeros. */
    private static void interleave(
            CudaDevice device, long records, long bytes, long stride, long address, MemorySegment... sources) {
        long most = Math.max(1, Math.min(records, PIECE / stride));
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment piece = arena.allocate(most * stride, Long.BYTES);
            for (long first = 0; first < records; first += most) {
                long count = Math.min(most, records - first);
                for (int s = 0; s < sources.length; s++) {
                    for (long i = 0; i < count; i++) {
                        MemorySegment.copy(
                                sources[s],
                                ValueLayout.JAVA_BYTE,
                                (first + i) * bytes,
                                piece,
                                ValueLayout.JAVA_BYTE,
                                i * stride + s * bytes,
                                bytes);
                    }
                }
                device.uploadNow(piece.asSlice(0, count * stride), address + first * stride);
            }
        }
    }
}
