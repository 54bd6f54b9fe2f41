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

/** The gated activation of the feed-forward layer. */
final class SwiGlu {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private SwiGlu() {}

    /** Same contract as {@link org.duoattention.backend.cpu.kernel.CpuKernels#swiGlu}. */
    static void run(Matrix gate, Matrix up, Matrix out, long from, long to) {
        long i = from;
        for (; i <= to - L; i += L) {
            lanes(gate.segment(), gate.at(0, i), up.segment(), up.at(0, i), out.segment(), out.at(0, i));
        }
        for (; i < to; i++) {
            float g = gate.segment().get(F32, gate.at(0, i));
            float u = up.segment().get(F32, up.at(0, i));
            out.segment().set(F32, out.at(0, i), (float) (g / (1 + Math.exp(-g)) * u));
        }
    }

    private static void lanes(
            MemorySegment gate, long gateAt, MemorySegment up, long upAt, MemorySegment out, long outAt) {
        FloatVector g = FloatVector.fromMemorySegment(F, gate, gateAt, LITTLE_ENDIAN);
        FloatVector minus = g.neg();
        VectorMask<Float> beyond = minus.compare(GT, Exp.LIMIT);
        FloatVector exp = Exp.of(minus.blend(Exp.LIMIT, beyond)).blend(Float.POSITIVE_INFINITY, beyond);
        FloatVector u = FloatVector.fromMemorySegment(F, up, upAt, LITTLE_ENDIAN);
        g.div(exp.add(1f)).mul(u).intoMemorySegment(out, outAt, LITTLE_ENDIAN);
    }
}
