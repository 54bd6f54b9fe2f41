package org.duoattention.backend.cpu.vector;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.L;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import org.duoattention.backend.cpu.kernel.Matrix;

/**
 * The backward of root-mean-square normalisation: with {@code r = 1 / sqrt(mean(x^2) + epsilon)}, {@code dx = r * w * g - x *
 * r^3 * mean(w * g * x)}.
 */
final class RmsNormBackward {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private RmsNormBackward() {}

    /** Same contract as {@link org.duoattention.backend.cpu.kernel.GradientKernels#rmsNorm}; {@code scale} is room for the weight. */
    static void run(
            Matrix x,
            Matrix weight,
            float epsilon,
            Matrix gradient,
            Matrix out,
            long fromRow,
            long toRow,
            float[] scale) {
        int group = weight.columns();
        Widen.run(weight.dtype(), weight.segment(), weight.at(0, 0), group, scale, 0);
        for (long row = fromRow; row < toRow; row++) {
            for (int column = 0; column < x.columns(); column += group) {
                long at = x.at(row, column);
                long from = gradient.at(row, column);
                double mean = RmsNorm.sumOfSquares(x.segment(), at, group) / group;
                double factor = 1 / Math.sqrt(mean + epsilon);
                double products = products(x.segment(), at, gradient.segment(), from, scale, group);
                float slope = (float) (products / group * factor * factor * factor);
                long to = out.at(row, column);
                combine(x.segment(), at, slope, gradient.segment(), from, (float) factor, scale, group, out, to);
            }
        }
    }

    private static float products(MemorySegment x, long at, MemorySegment g, long from, float[] scale, int count) {
        FloatVector sum = FloatVector.zero(F);
        int i = 0;
        for (; i <= count - L; i += L) {
            FloatVector v = FloatVector.fromMemorySegment(F, x, at + 4L * i, LITTLE_ENDIAN);
            sum = FloatVector.fromMemorySegment(F, g, from + 4L * i, LITTLE_ENDIAN)
                    .mul(FloatVector.fromArray(F, scale, i))
                    .fma(v, sum);
        }
        float total = LaneSum.of(sum);
        for (; i < count; i++) {
            total = Math.fma(g.get(F32, from + 4L * i) * scale[i], x.get(F32, at + 4L * i), total);
        }
        return total;
    }

    private static void combine(
            MemorySegment x,
            long at,
            float slope,
            MemorySegment g,
            long from,
            float factor,
            float[] scale,
            int count,
            Matrix out,
            long to) {
        MemorySegment target = out.segment();
        FloatVector minus = FloatVector.broadcast(F, -slope);
        int i = 0;
        for (; i <= count - L; i += L) {
            FloatVector first = FloatVector.fromMemorySegment(F, g, from + 4L * i, LITTLE_ENDIAN)
                    .mul(FloatVector.fromArray(F, scale, i))
                    .mul(factor);
            FloatVector.fromMemorySegment(F, x, at + 4L * i, LITTLE_ENDIAN)
                    .fma(minus, first)
                    .intoMemorySegment(target, to + 4L * i, LITTLE_ENDIAN);
        }
        for (; i < count; i++) {
            float first = g.get(F32, from + 4L * i) * scale[i] * factor;
            target.set(F32, to + 4L * i, Math.fma(x.get(F32, at + 4L * i), -slope, first));
        }
    }
}
