package org.duoattention.core.quantize;

import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;

/**
 * How matrices are quantised, whatever their width.
 *
 * @param bits 4 or 8
 * @param group numbers that share a scale; {@link #ROW} for the whole row
 * @param asymmetric whether groups have zero points
 */
public record MatrixFormat(int bits, int group, boolean asymmetric) {
    /** One group per row. */
    public static final int ROW = 0;

    /** The format of rows of a given width. */
    BlockFormat.Grouped forRows(long columns) {
        return new BlockFormat.Grouped(bits, group == ROW ? Math.toIntExact(columns) : group, asymmetric, DType.F16);
    }

    /** For example {@code int4, groups of 128}. */
    @Override
    public String toString() {
        return "int" + bits + (group == ROW ? ", one group per row" : ", groups of " + group)
                + (asymmetric ? ", asymmetric" : "");
    }
}
