package org.duoattention.backend.cpu.device;

import java.lang.foreign.MemorySegment;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.api.tensor.QuantizedSpec;
import org.duoattention.backend.cpu.kernel.CpuKernels;
import org.duoattention.backend.cpu.memory.DeviceMemory;

/** Brings quantised weights into the order of the kernels, once, when they are loaded. */
final class Adoption {
    private Adoption() {}

    /** Throws when a scale or an offset is infinite or no number. */
    static void requireFinite(QuantizedMatrix matrix) {
        QuantizedSpec spec = matrix.spec();
        for (long row = 0; row < spec.rows(); row++) {
            for (long group = 0; group < spec.groups(); group++) {
                requireFinite(spec, "scale", row, group, matrix.scaleAt(row, group));
                if (spec.format().asymmetric()) {
                    requireFinite(spec, "offset", row, group, matrix.offsetAt(row, group));
                }
            }
        }
    }

    private static void requireFinite(QuantizedSpec spec, String what, long row, long group, double value) {
        if (!Double.isFinite(value)) {
            throw new IllegalArgumentException("the " + what + " of group " + group + " in row " + row + " of " + spec
                    + " is " + value + "; it must be finite");
        }
    }

    /** Repacks on all threads, or on this one where the others cannot read the source. */
    static void repack(CpuKernels kernels, Workers workers, QuantizedMatrix matrix, MemorySegment target) {
        long rows = matrix.spec().rows();
        if (!DeviceMemory.isShared(matrix.codes())
                || !DeviceMemory.isShared(matrix.scales())
                || !DeviceMemory.isShared(matrix.offsets())) {
            kernels.repack(matrix, target, 0, rows);
            return;
        }
        int block = kernels.linearRowBlock();
        int parts = workers.parts(rows, block, rows * matrix.spec().columns());
        workers.run(parts, (part, workspace) -> {
            long from = Workers.cut(rows, block, parts, part);
            long to = Workers.cut(rows, block, parts, part + 1);
            if (from < to) {
                kernels.repack(matrix, target, from, to);
            }
        });
    }
}
