package org.duoattention.backend.cpu.vector;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.L;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import org.duoattention.backend.cpu.kernel.AttentionTask;

/** Joins the states that attention over ranges of slots left; references are exponents of 2. */
final class Merge {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(LITTLE_ENDIAN);
    private static final double LN2 = Math.log(2);

    private Merge() {}

    /** Same contract as {@link org.duoattention.backend.cpu.kernel.CpuKernels#merge}. */
    static void run(AttentionTask task, long row, MemorySegment partials, long offset, long stride, int splits) {
        int dim = task.head().headDim();
        MemorySegment out = task.out().segment();
        for (int g = 0; g < task.group(); g++) {
            long state = offset + 4L * g * (dim + 2);
            float max = Float.NEGATIVE_INFINITY;
            for (int s = 0; s < splits; s++) {
                max = Math.max(max, partials.get(F32, state + s * stride));
            }
            double sum = 0;
            for (int s = 0; s < splits; s++) {
                sum += factor(partials, state + s * stride, max) * partials.get(F32, state + s * stride + 4);
            }
            long at = task.out().at(row, task.column() + (long) g * dim);
            for (int s = 0; s < splits; s++) {
                float weight = (float) (factor(partials, state + s * stride, max) / sum);
                addTo(out, at, partials, state + s * stride + 8, dim, weight, s == 0);
            }
        }
    }

    private static double factor(MemorySegment partials, long state, float max) {
        return Math.exp(LN2 * ((double) partials.get(F32, state) - max));
    }

    private static void addTo(
            MemorySegment out, long at, MemorySegment x, long from, int count, float weight, boolean first) {
        int d = 0;
        for (; d <= count - L; d += L) {
            FloatVector term = FloatVector.fromMemorySegment(F, x, from + 4L * d, LITTLE_ENDIAN)
                    .mul(weight);
            if (!first) {
                term = term.add(FloatVector.fromMemorySegment(F, out, at + 4L * d, LITTLE_ENDIAN));
            }
            term.intoMemorySegment(out, at + 4L * d, LITTLE_ENDIAN);
        }
        for (; d < count; d++) {
            float before = first ? 0 : out.get(F32, at + 4L * d);
            out.set(F32, at + 4L * d, before + weight * x.get(F32, from + 4L * d));
        }
    }
}
