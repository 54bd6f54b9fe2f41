package org.duoattention.tck;

import java.util.Arrays;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;

/**
 * What a slab holds of a row of numbers: rounded to its type, or quantised as {@link
 * org.duoattention.api.backend.ComputeStream#append} says. In double precision, so that it is no copy of a kernel.
 */
final class StoredRow {
    private StoredRow() {}

    /** The values that are read back. */
    static double[] of(BlockFormat format, double[] row) {
        return switch (format) {
            case BlockFormat.Dense(DType dtype) ->
                Arrays.stream(row)
                        .map(value -> HalfPrecision.round(dtype, value))
                        .toArray();
            case BlockFormat.Grouped grouped -> quantized(grouped, row);
        };
    }

    private static double[] quantized(BlockFormat.Grouped format, double[] row) {
        double[] out = new double[row.length];
        for (int from = 0; from < row.length; from += format.group()) {
            double[] group = Arrays.copyOfRange(row, from, from + format.group());
            double offset = down(Arrays.stream(group).min().orElseThrow());
            double span = Arrays.stream(group).max().orElseThrow() - offset;
            double scale = -down(-span / format.largestCode());
            for (int i = 0; i < group.length; i++) {
                double code = scale == 0 ? 0 : Math.rint((group[i] - offset) / scale);
                out[from + i] = offset + Math.min(code, format.largestCode()) * scale;
            }
        }
        return out;
    }

    /** The largest binary16 that is not above a value. */
    private static double down(double value) {
        double rounded = HalfPrecision.round(DType.F16, value);
        if (rounded <= value) {
            return rounded;
        }
        // One step of binary16 at this exponent, and a little more, towards minus infinity.
        int exponent = Math.max(Math.getExponent(value), -14);
        return HalfPrecision.round(DType.F16, rounded - Math.scalb(0.75, exponent - 10));
    }

    /** The largest difference between an element and what is read back; 0 for a dense row, which is rounded first. */
    static double[] errors(BlockFormat format, double[] row) {
        double[] errors = new double[row.length];
        if (format instanceof BlockFormat.Grouped grouped) {
            for (int from = 0; from < row.length; from += grouped.group()) {
                double[] group = Arrays.copyOfRange(row, from, from + grouped.group());
                double least = Arrays.stream(group).min().orElseThrow();
                double most = Arrays.stream(group).max().orElseThrow();
                // Offset and scale are rounded outwards by at most one part in 2^10, or a subnormal step.
                double span = most - least + 0x1p-10 * Math.abs(least) + 0x1p-24;
                double step = span / grouped.largestCode() * (1 + 0x1p-10) + 0x1p-24;
                double rounding = 8 * ErrorBounds.U * Math.max(Math.abs(least), Math.abs(most));
                Arrays.fill(errors, from, from + grouped.group(), step / 2 + rounding);
            }
        }
        return errors;
    }
}
