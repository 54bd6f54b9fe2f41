package org.duoattention.backend.cpu.vector;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static jdk.incubator.vector.VectorOperators.GT;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.L;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import org.duoattention.backend.cpu.kernel.Matrix;

/** The backward of {@link SwiGlu}: with the sigmoid s of the gate g, {@code s * (1 + g * (1 - s))} is the slope of {@code g * s}. */
final class SwiGluBackward {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private SwiGluBackward() {}

    /** Same contract as {@link org.duoattention.backend.cpu.kernel.GradientKernels#swiGlu}. */
    static void run(
            Matrix gate, Matrix up, Matrix gradient, Matrix gateGradient, Matrix upGradient, long from, long to) {
        long i = from;
        for (; i <= to - L; i += L) {
            lanes(
                    gate.segment(),
                    gate.at(0, i),
                    up.segment(),
                    up.at(0, i),
                    gradient.segment(),
                    gradient.at(0, i),
                    gateGradient.segment(),
                    gateGradient.at(0, i),
                    upGradient.segment(),
                    upGradient.at(0, i));
        }
        for (; i < to; i++) {
            double g = gate.segment().get(F32, gate.at(0, i));
            double u = up.segment().get(F32, up.at(0, i));
            double d = gradient.segment().get(F32, gradient.at(0, i));
            double s = 1 / (1 + Math.exp(-g));
            gateGradient.segment().set(F32, gateGradient.at(0, i), (float) (d * u * (s * (1 + g * (1 - s)))));
            upGradient.segment().set(F32, upGradient.at(0, i), (float) (d * (g * s)));
        }
    }

    private static void lanes(
            MemorySegment gate,
            long gateAt,
            MemorySegment up,
            long upAt,
            MemorySegment gradient,
            long at,
            MemorySegment gateGradient,
            long toGate,
            MemorySegment upGradient,
            long toUp) {
        FloatVector g = FloatVector.fromMemorySegment(F, gate, gateAt, LITTLE_ENDIAN);
        FloatVector minus = g.neg();
        VectorMask<Float> beyond = minus.compare(GT, Exp.LIMIT);
        FloatVector exp = Exp.of(minus.blend(Exp.LIMIT, beyond)).blend(Float.POSITIVE_INFINITY, beyond);
        FloatVector one = FloatVector.broadcast(F, 1);
        FloatVector s = one.div(exp.add(1f));
        FloatVector slope = g.fma(one.sub(s), one).mul(s);
        FloatVector u = FloatVector.fromMemorySegment(F, up, upAt, LITTLE_ENDIAN);
        FloatVector d = FloatVector.fromMemorySegment(F, gradient, at, LITTLE_ENDIAN);
        d.mul(u).mul(slope).intoMemorySegment(gateGradient, toGate, LITTLE_ENDIAN);
        d.mul(g.mul(s)).intoMemorySegment(upGradient, toUp, LITTLE_ENDIAN);
    }
}
