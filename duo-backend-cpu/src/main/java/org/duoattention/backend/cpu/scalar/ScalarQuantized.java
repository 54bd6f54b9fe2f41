package org.duoattention.backend.cpu.scalar;

import java.lang.foreign.MemorySegment;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.api.tensor.QuantizedSpec;
import org.duoattention.backend.cpu.kernel.QuantizedWeight;

/** Quantised weights as they come: the codes of all rows, then the scales, then the offsets. */
final class ScalarQuantized {
    private ScalarQuantized() {}

    static void repack(QuantizedMatrix source, MemorySegment target, long fromRow, long toRow) {
        QuantizedSpec spec = source.spec();
        copy(source.codes(), target, 0, spec, fromRow, toRow);
        copy(source.scales(), target, spec.codeBytes(), spec, fromRow, toRow);
        copy(source.offsets(), target, spec.codeBytes() + spec.scaleBytes(), spec, fromRow, toRow);
    }

    private static void copy(
            MemorySegment part, MemorySegment target, long at, QuantizedSpec spec, long fromRow, long toRow) {
        long rowBytes = part.byteSize() / spec.rows();
        MemorySegment.copy(part, fromRow * rowBytes, target, at + fromRow * rowBytes, (toRow - fromRow) * rowBytes);
    }

    /** The values of a row as floats from byte {@code target} on, each rounded once. */
    static void row(QuantizedWeight weight, long row, MemorySegment to, long target) {
        QuantizedSpec spec = weight.spec();
        MemorySegment all = weight.segment();
        QuantizedMatrix matrix = new QuantizedMatrix(
                spec,
                all.asSlice(0, spec.codeBytes()),
                all.asSlice(spec.codeBytes(), spec.scaleBytes()),
                all.asSlice(spec.codeBytes() + spec.scaleBytes(), spec.offsetBytes()));
        int group = spec.format().group();
        for (long g = 0; g < spec.groups(); g++) {
            double scale = matrix.scaleAt(row, g);
            double offset = matrix.offsetAt(row, g);
            for (long k = g * group; k < (g + 1) * group; k++) {
                double value = offset + matrix.codeAt(row, k) * scale;
                to.set(ScalarKernels.F32, target + 4 * k, (float) value);
            }
        }
    }
}
