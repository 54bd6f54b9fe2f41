package org.duoattention.backend.cpu.vector;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.L;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import org.duoattention.backend.cpu.kernel.Matrix;

/** Root-mean-square normalisation. */
final class RmsNorm {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private RmsNorm() {}

    /** Same contract as {@link org.duoattention.backend.cpu.kernel.CpuKernels#rmsNorm}; {@code scale} is room for the weight. */
    static void run(Matrix x, Matrix weight, float epsilon, Matrix out, long fromRow, long toRow, float[] scale) {
        int group = weight.columns();
        Widen.run(weight.dtype(), weight.segment(), weight.at(0, 0), group, scale, 0);
        for (long row = fromRow; row < toRow; row++) {
            for (int column = 0; column < x.columns(); column += group) {
                long from = x.at(row, column);
                float mean = sumOfSquares(x.segment(), from, group) / group;
                float factor = (float) (1 / Math.sqrt(mean + epsilon));
                multiply(x.segment(), from, factor, scale, group, out.segment(), out.at(row, column));
            }
        }
    }

    static float sumOfSquares(MemorySegment x, long from, int count) {
        FloatVector a = FloatVector.zero(F), b = a;
        int i = 0;
        for (; i <= count - 2 * L; i += 2 * L) {
            FloatVector v = FloatVector.fromMemorySegment(F, x, from + 4L * i, LITTLE_ENDIAN);
            FloatVector w = FloatVector.fromMemorySegment(F, x, from + 4L * (i + L), LITTLE_ENDIAN);
            a = v.fma(v, a);
            b = w.fma(w, b);
        }
        float sum = LaneSum.of(a.add(b));
        for (; i < count; i++) {
            float v = x.get(F32, from + 4L * i);
            sum = Math.fma(v, v, sum);
        }
        return sum;
    }

    private static void multiply(
            MemorySegment x, long from, float factor, float[] scale, int count, MemorySegment out, long to) {
        int i = 0;
        for (; i <= count - L; i += L) {
            FloatVector.fromMemorySegment(F, x, from + 4L * i, LITTLE_ENDIAN)
                    .mul(factor)
                    .mul(FloatVector.fromArray(F, scale, i))
                    .intoMemorySegment(out, to + 4L * i, LITTLE_ENDIAN);
        }
        for (; i < count; i++) {
            out.set(F32, to + 4L * i, x.get(F32, from + 4L * i) * factor * scale[i]);
        }
    }
}
