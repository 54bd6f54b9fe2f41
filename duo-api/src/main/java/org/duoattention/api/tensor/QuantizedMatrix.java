package org.duoattention.api.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/**
 * A matrix quantised in groups along its rows, in memory that the host can read: what quantised checkpoints are turned
 * into before a device adopts it. All parts are row-major, little-endian, not necessarily aligned.
 *
 * <p>It owns nothing: whoever made the segments keeps them alive and closes them.
 *
 * @param spec format and extents
 * @param codes unsigned codes, {@code spec.codeBytes()} bytes; with 4 bits element {@code 2 i} of a row is the lower half of
 *     byte {@code i}, element {@code 2 i + 1} the upper half
 * @param scales {@code [rows, groups]} of the scale type
 * @param offsets {@code [rows, groups]} of the scale type; empty when the format is symmetric
 */
public record QuantizedMatrix(QuantizedSpec spec, MemorySegment codes, MemorySegment scales, MemorySegment offsets)
        implements HostWeight {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfShort I16 = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /** Checks the sizes of the segments. */
    public QuantizedMatrix {
        require("codes", spec, codes.byteSize(), spec.codeBytes());
        require("scales", spec, scales.byteSize(), spec.scaleBytes());
        require("offsets", spec, offsets.byteSize(), spec.offsetBytes());
    }

    private static void require(String part, QuantizedSpec spec, long actual, long expected) {
        if (actual != expected) {
            throw new IllegalArgumentException(
                    "the " + part + " of " + spec + " take " + expected + " bytes, the segment has " + actual);
        }
    }

    /** One code, 0 to {@link BlockFormat.Grouped#largestCode}. */
    public int codeAt(long row, long column) {
        long element = row * spec.columns() + column;
        if (spec.format().bits() == 8) {
            return codes.get(ValueLayout.JAVA_BYTE, element) & 0xff;
        }
        // Rows are whole bytes, because groups are even.
        return codes.get(ValueLayout.JAVA_BYTE, element / 2) >> (int) (element % 2 * 4) & 0xf;
    }

    /** The scale of a group. */
    public float scaleAt(long row, long group) {
        return number(scales, row * spec.groups() + group);
    }

    /** The value of code 0 in a group. */
    public double offsetAt(long row, long group) {
        return spec.format().asymmetric()
                ? number(offsets, row * spec.groups() + group)
                : -(double) spec.format().centre() * scaleAt(row, group);
    }

    /** One element without rounding, for checks and tests rather than kernels. */
    public double valueAt(long row, long column) {
        long group = column / spec.format().group();
        return offsetAt(row, group) + (double) codeAt(row, column) * scaleAt(row, group);
    }

    private float number(MemorySegment segment, long index) {
        return spec.format().scaleType() == DType.F16
                ? Float.float16ToFloat(segment.get(I16, 2 * index))
                : segment.get(F32, 4 * index);
    }
}
