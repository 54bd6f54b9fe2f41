package org.duoattention.core.load.gguf;

import org.duoattention.api.tensor.BlockFormat;

/** One row of a quantised matrix while it is decoded; reused from row to row. For use by one thread. */
final class DecodedRow {
    private final BlockFormat.Grouped format;
    private final byte[] codes;
    private final float[] scales;
    private final float[] offsets;

    DecodedRow(BlockFormat.Grouped format, int columns) {
        this.format = format;
        this.codes = new byte[Math.toIntExact((long) columns * format.bits() / 8)];
        this.scales = new float[columns / format.group()];
        this.offsets = new float[format.asymmetric() ? scales.length : 0];
    }

    /** The codes as {@link org.duoattention.api.tensor.QuantizedMatrix} has them. */
    byte[] codes() {
        return codes;
    }

    /** Scales of the groups; halves are kept as the floats that they are equal to. */
    float[] scales() {
        return scales;
    }

    /** Offsets of the groups; empty when the format is symmetric. */
    float[] offsets() {
        return offsets;
    }

    /** Sets an 8-bit code. */
    void set(int element, int code) {
        codes[element] = (byte) code;
    }

    /** Sets two neighbouring 4-bit codes, the first of which has an even number. */
    void setPair(int element, int first, int second) {
        codes[element / 2] = (byte) (first | second << 4);
    }

    /** Sets the scale of the group that an element is in. */
    void scale(int element, float scale) {
        scales[element / format.group()] = scale;
    }

    /** Sets the offset of the group that an element is in. */
    void offset(int element, float offset) {
        offsets[element / format.group()] = offset;
    }

    /** Whether all scales and offsets are finite. */
    boolean isFinite() {
        boolean finite = true;
        for (float scale : scales) {
            finite &= Float.isFinite(scale);
        }
        for (float offset : offsets) {
            finite &= Float.isFinite(offset);
        }
        return finite;
    }
}
