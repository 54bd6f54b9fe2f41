package org.duoattention.backend.cpu.vector;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.L;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import org.duoattention.backend.cpu.kernel.Matrix;

/** Rotary position embedding. */
final class Rotate {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private Rotate() {}

    /** Same contract as {@link org.duoattention.backend.cpu.kernel.CpuKernels#rope}. */
    static void run(Matrix x, int headDim, Matrix cos, Matrix sin, long fromRow, long toRow) {
        for (long row = fromRow; row < toRow; row++) {
            for (int column = 0; column < x.columns(); column += headDim) {
                head(x.segment(), x.at(row, column), cos.columns(), cos, cos.at(row, 0), sin, sin.at(row, 0));
            }
        }
    }

    private static void head(
            MemorySegment x, long at, int pairs, Matrix cosines, long cosAt, Matrix sines, long sinAt) {
        MemorySegment cos = cosines.segment();
        MemorySegment sin = sines.segment();
        long half = 4L * pairs;
        int i = 0;
        for (; i <= pairs - L; i += L) {
            FloatVector a = FloatVector.fromMemorySegment(F, x, at + 4L * i, LITTLE_ENDIAN);
            FloatVector b = FloatVector.fromMemorySegment(F, x, at + half + 4L * i, LITTLE_ENDIAN);
            FloatVector c = FloatVector.fromMemorySegment(F, cos, cosAt + 4L * i, LITTLE_ENDIAN);
            FloatVector s = FloatVector.fromMemorySegment(F, sin, sinAt + 4L * i, LITTLE_ENDIAN);
            a.mul(c).sub(b.mul(s)).intoMemorySegment(x, at + 4L * i, LITTLE_ENDIAN);
            b.mul(c).add(a.mul(s)).intoMemorySegment(x, at + half + 4L * i, LITTLE_ENDIAN);
        }
        for (; i < pairs; i++) {
            float a = x.get(F32, at + 4L * i);
            float b = x.get(F32, at + half + 4L * i);
            float c = cos.get(F32, cosAt + 4L * i);
            float s = sin.get(F32, sinAt + 4L * i);
            x.set(F32, at + 4L * i, a * c - b * s);
            x.set(F32, at + half + 4L * i, b * c + a * s);
        }
    }
}
