package org.duoattention.api.tensor;

/**
 * Format and extents of a matrix that is quantised in groups along its rows.
 *
 * @param format bits, group, offsets and type of the scales
 * @param rows number of rows, the outputs of a linear layer; at least 1
 * @param columns elements per row, the inputs of a linear layer; a positive multiple of the group
 */
public record QuantizedSpec(BlockFormat.Grouped format, long rows, long columns) {
    /** Checks the extents and that the byte size fits a {@code long}. */
    public QuantizedSpec {
        if (rows < 1 || columns < 1) {
            throw new IllegalArgumentException("a quantised matrix of " + rows + " x " + columns + " elements");
        }
        try {
            Math.multiplyExact(rows, format.rowBytes(columns));
        } catch (ArithmeticException e) {
            throw new IllegalArgumentException(
                    "the byte size of " + format + " [" + rows + ", " + columns + "] does not fit 64 bits", e);
        }
    }

    /** Groups per row. */
    public long groups() {
        return columns / format.group();
    }

    /** Bytes of the codes of all rows. */
    public long codeBytes() {
        return rows * (columns * format.bits() / 8);
    }

    /** Bytes of the scales of all rows. */
    public long scaleBytes() {
        return rows * groups() * format.scaleType().bytes();
    }

    /** Bytes of the offsets of all rows; 0 when the format is symmetric. */
    public long offsetBytes() {
        return format.asymmetric() ? scaleBytes() : 0;
    }

    /** Bytes of codes, scales and offsets. */
    public long byteSize() {
        return rows * format.rowBytes(columns);
    }

    /** For example {@code int4/32[2048, 8192]}. */
    @Override
    public String toString() {
        return format.label() + "/" + format.group() + "[" + rows + ", " + columns + "]";
    }
}
