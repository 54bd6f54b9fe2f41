package org.duoattention.backend.cpu.vector;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static jdk.incubator.vector.VectorOperators.I2F;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LSHR;
import static org.duoattention.backend.cpu.vector.QuantizedLayout.BLOCK;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.I;
import static org.duoattention.backend.cpu.vector.Simd.L;
import static org.duoattention.backend.cpu.vector.Simd.PANEL;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.backend.cpu.kernel.QuantizedWeight;

/** Some columns of a panel of a quantised weight as floats, {@code [column][PANEL rows]}. */
final class QuantizedPanel {
    private QuantizedPanel() {}

    /**
     * Columns {@code k .. k + depth - 1} of the panel that starts with {@code row}: whole groups, or a part of one that starts
     * at a multiple of 4 in it.
     */
    static void run(QuantizedWeight weight, long row, int k, int depth, float[] target) {
        QuantizedLayout layout = QuantizedLayout.of(weight.spec());
        BlockFormat.Grouped format = weight.format();
        boolean half = format.scaleType() == DType.F16;
        int panel = (int) (row % BLOCK) / PANEL;
        int group = format.group();
        for (int at = k; at < k + depth; ) {
            int inGroup = at % group;
            int columns = Math.min(group - inGroup, k + depth - at);
            long start = layout.blockAt(row) + at / group * layout.groupBytes();
            long words = start + (long) panel * layout.wordBytes() + (long) (inGroup / 4) * 2 * layout.wordBytes();
            long scales = start + layout.scalesAt() + (long) panel * layout.scaleBytes();
            long offsets = format.asymmetric() ? start + layout.offsetsAt() + (long) panel * layout.scaleBytes() : -1;
            int to = (at - k) * PANEL;
            if (format.bits() == 4) {
                int4(weight.segment(), words, scales, offsets, half, columns, target, to);
            } else {
                int8(weight.segment(), words, scales, offsets, half, columns, target, to);
            }
            at += columns;
        }
    }

    /** Scales or offsets of the lower half of a panel. */
    private static FloatVector lower(MemorySegment w, long at, boolean half) {
        if (!half) {
            return FloatVector.fromMemorySegment(F, w, at, LITTLE_ENDIAN);
        }
        IntVector v = IntVector.fromMemorySegment(I, w, at, LITTLE_ENDIAN);
        IntVector m = v.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);
        IntVector n = m.reinterpretAsFloats()
                .fma(FloatVector.broadcast(F, 2), FloatVector.broadcast(F, Half.MINUS_LEAST_NORMAL))
                .reinterpretAsInts();
        return m.min(n)
                .or(v.lanewise(LSHL, 16).and(Half.SIGN))
                .reinterpretAsFloats()
                .mul(Half.UNSCALE);
    }

    /** Scales or offsets of the upper half of a panel. */
    private static FloatVector upper(MemorySegment w, long at, boolean half) {
        if (!half) {
            return FloatVector.fromMemorySegment(F, w, at + 4L * L, LITTLE_ENDIAN);
        }
        IntVector v = IntVector.fromMemorySegment(I, w, at, LITTLE_ENDIAN);
        IntVector m = v.lanewise(LSHR, 3).and(Half.MAGNITUDE).or(Half.BIAS);
        IntVector n = m.reinterpretAsFloats()
                .fma(FloatVector.broadcast(F, 2), FloatVector.broadcast(F, Half.MINUS_LEAST_NORMAL))
                .reinterpretAsInts();
        return m.min(n).or(v.and(Half.SIGN)).reinterpretAsFloats().mul(Half.UNSCALE);
    }

    private static void int4(
            MemorySegment w, long at, long scales, long offsets, boolean half, int columns, float[] target, int to) {
        FloatVector s0 = lower(w, scales, half);
        FloatVector s1 = upper(w, scales, half);
        FloatVector o0 = offsets < 0 ? s0.mul(-8f) : lower(w, offsets, half);
        FloatVector o1 = offsets < 0 ? s1.mul(-8f) : upper(w, offsets, half);
        for (int k = 0; k < columns; k += 4, at += 8L * L) {
            IntVector v = IntVector.fromMemorySegment(I, w, at, LITTLE_ENDIAN);
            int count = Math.min(4, columns - k);
            for (int n = 0; n < count; n++) {
                int p = to + (k + n) * PANEL;
                ((FloatVector) v.and(15).convert(I2F, 0)).fma(s0, o0).intoArray(target, p);
                ((FloatVector) v.lanewise(LSHR, 16).and(15).convert(I2F, 0))
                        .fma(s1, o1)
                        .intoArray(target, p + L);
                v = v.lanewise(LSHR, 4);
            }
        }
    }

    private static void int8(
            MemorySegment w, long at, long scales, long offsets, boolean half, int columns, float[] target, int to) {
        FloatVector s0 = lower(w, scales, half);
        FloatVector s1 = upper(w, scales, half);
        FloatVector o0 = offsets < 0 ? s0.mul(-128f) : lower(w, offsets, half);
        FloatVector o1 = offsets < 0 ? s1.mul(-128f) : upper(w, offsets, half);
        for (int k = 0; k < columns; k += 4, at += 16L * L) {
            IntVector v = IntVector.fromMemorySegment(I, w, at, LITTLE_ENDIAN);
            IntVector u = IntVector.fromMemorySegment(I, w, at + 4L * L, LITTLE_ENDIAN);
            int count = Math.min(4, columns - k);
            for (int n = 0; n < count; n++) {
                int p = to + (k + n) * PANEL;
                ((FloatVector) v.and(255).convert(I2F, 0)).fma(s0, o0).intoArray(target, p);
                ((FloatVector) u.and(255).convert(I2F, 0)).fma(s1, o1).intoArray(target, p + L);
                v = v.lanewise(LSHR, 8);
                u = u.lanewise(LSHR, 8);
            }
        }
    }
}
