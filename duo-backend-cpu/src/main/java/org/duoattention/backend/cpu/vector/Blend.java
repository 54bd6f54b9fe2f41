package org.duoattention.backend.cpu.vector;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.L;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import org.duoattention.backend.cpu.kernel.Matrix;

/** The blend of two attention outputs by gates, and its backward. */
final class Blend {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private Blend() {}

    /** Same contract as {@link org.duoattention.backend.cpu.kernel.GradientKernels#blend}. */
    static void run(Matrix full, Matrix streaming, float[] gates, Matrix out, long fromRow, long toRow) {
        int width = out.columns() / gates.length;
        for (long row = fromRow; row < toRow; row++) {
            for (int h = 0; h < gates.length; h++) {
                int column = h * width;
                head(
                        full.segment(),
                        full.at(row, column),
                        streaming.segment(),
                        streaming.at(row, column),
                        gates[h],
                        out.segment(),
                        out.at(row, column),
                        width);
            }
        }
    }

    private static void head(
            MemorySegment full,
            long fullAt,
            MemorySegment streaming,
            long streamingAt,
            float gate,
            MemorySegment out,
            long to,
            int count) {
        FloatVector rest = FloatVector.broadcast(F, 1 - gate);
        int i = 0;
        for (; i <= count - L; i += L) {
            FloatVector f = FloatVector.fromMemorySegment(F, full, fullAt + 4L * i, LITTLE_ENDIAN);
            FloatVector.fromMemorySegment(F, streaming, streamingAt + 4L * i, LITTLE_ENDIAN)
                    .mul(rest)
                    .add(f.mul(gate))
                    .intoMemorySegment(out, to + 4L * i, LITTLE_ENDIAN);
        }
        for (; i < count; i++) {
            float s = streaming.get(F32, streamingAt + 4L * i) * (1 - gate);
            out.set(F32, to + 4L * i, s + full.get(F32, fullAt + 4L * i) * gate);
        }
    }

    /** Same contract as {@link org.duoattention.backend.cpu.kernel.GradientKernels#blendBackward}. */
    static void backward(
            Matrix full,
            Matrix streaming,
            float[] gates,
            Matrix gradient,
            Matrix streamingGradient,
            long fromRow,
            long toRow,
            double[] sums,
            int at) {
        int width = full.columns() / gates.length;
        for (int h = 0; h < gates.length; h++) {
            int column = h * width;
            double sum = 0;
            for (long row = fromRow; row < toRow; row++) {
                sum += backward(
                        full.segment(),
                        full.at(row, column),
                        streaming.segment(),
                        streaming.at(row, column),
                        1 - gates[h],
                        gradient.segment(),
                        gradient.at(row, column),
                        streamingGradient.segment(),
                        streamingGradient.at(row, column),
                        width);
            }
            sums[at + h] = sum;
        }
    }

    private static float backward(
            MemorySegment full,
            long fullAt,
            MemorySegment streaming,
            long streamingAt,
            float rest,
            MemorySegment gradient,
            long from,
            MemorySegment out,
            long to,
            int count) {
        FloatVector sum = FloatVector.zero(F);
        int i = 0;
        for (; i <= count - L; i += L) {
            FloatVector d = FloatVector.fromMemorySegment(F, gradient, from + 4L * i, LITTLE_ENDIAN);
            FloatVector s = FloatVector.fromMemorySegment(F, streaming, streamingAt + 4L * i, LITTLE_ENDIAN);
            sum = FloatVector.fromMemorySegment(F, full, fullAt + 4L * i, LITTLE_ENDIAN)
                    .sub(s)
                    .fma(d, sum);
            d.mul(rest).intoMemorySegment(out, to + 4L * i, LITTLE_ENDIAN);
        }
        float total = LaneSum.of(sum);
        for (; i < count; i++) {
            float d = gradient.get(F32, from + 4L * i);
            float difference = full.get(F32, fullAt + 4L * i) - streaming.get(F32, streamingAt + 4L * i);
            total = Math.fma(d, difference, total);
            out.set(F32, to + 4L * i, d * rest);
        }
        return total;
    }
}
