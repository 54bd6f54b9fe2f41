package org.duoattention.backend.cpu.vector;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static jdk.incubator.vector.VectorOperators.ADD;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.MAX;
import static jdk.incubator.vector.VectorOperators.NE;
import static org.duoattention.backend.cpu.vector.GemvInt4Int8.UNIT;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.I;
import static org.duoattention.backend.cpu.vector.Simd.L;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorShuffle;
import org.duoattention.backend.cpu.kernel.Matrix;
import org.duoattention.backend.cpu.kernel.PackedInput;

/**
 * Inputs rounded to 8 bits in units of {@link GemvInt4Int8#UNIT} elements that share a scale, the largest of them becoming
 * 127 or -127: at most half a step, {@code max |x| / 254}, is lost of each. What is stored are the coefficients that {@link
 * GemvInt4Int8} wants: of four consecutive inputs the first as it is, of each other one its value less 16 times the one before.
 */
final class RoundedInput {
    /** Adding it leaves the nearest integer in the lower bits of a float. */
    private static final float ROUND = 0x1.8p23f;

    private static final int ROUND_BITS = Float.floatToRawIntBits(ROUND);

    /** The lane before each. */
    private static final VectorShuffle<Integer> BEFORE = VectorShuffle.fromOp(I, lane -> Math.max(0, lane - 1));

    /** All bits set in lanes that are not the first of four. */
    private static final IntVector LATER_OF_FOUR =
            IntVector.zero(I).addIndex(1).and(3).compare(NE, 0).toVector().reinterpretAsInts();

    private RoundedInput() {}

    /** Ints per token. */
    static int ints(int in) {
        return in + in / UNIT;
    }

    /** Floats per token. */
    static int floats(int in) {
        return 2 * (in / UNIT);
    }

    /** Share {@code part} of {@code parts} of the inputs, as {@link GemvInt4Int8} wants them. */
    static void pack(Matrix x, int part, int parts, PackedInput target) {
        int in = x.columns();
        int units = in / UNIT;
        int[] ints = target.ints();
        float[] floats = target.floats();
        int end = (int) (x.rows() * (part + 1) / parts);
        for (int t = (int) (x.rows() * part / parts); t < end; t++) {
            int xo = t * ints(in);
            int so = t * floats(in);
            for (int u = 0; u < units; u++) {
                unit(x.segment(), x.at(t, (long) u * UNIT), ints, xo + u * UNIT, xo + in + u, floats, so + u, units);
            }
        }
    }

    private static void unit(
            MemorySegment x, long at, int[] ints, int to, int sumTo, float[] floats, int scaleTo, int units) {
        FloatVector largest = FloatVector.zero(F);
        for (int i = 0; i < UNIT; i += L) {
            largest = largest.max(FloatVector.fromMemorySegment(F, x, at + 4L * i, LITTLE_ENDIAN)
                    .abs());
        }
        float most = largest.reduceLanes(MAX);
        // Below the range of the quotient everything is taken as zero: less than 2^-120 is lost.
        float inverse = most < 0x1p-120f ? 0 : 127 / most;
        IntVector sums = IntVector.zero(I);
        for (int i = 0; i < UNIT; i += L) {
            IntVector rounded = FloatVector.fromMemorySegment(F, x, at + 4L * i, LITTLE_ENDIAN)
                    .mul(inverse)
                    .add(ROUND)
                    .reinterpretAsInts()
                    .sub(ROUND_BITS);
            sums = sums.add(rounded);
            IntVector before = rounded.rearrange(BEFORE).lanewise(LSHL, 4).and(LATER_OF_FOUR);
            IntVector coefficients = rounded.sub(before);
            coefficients.lanewise(LSHL, 16).or(coefficients.and(0xffff)).intoArray(ints, to + i);
        }
        int sum = sums.reduceLanes(ADD);
        float scale = most / 127;
        ints[sumTo] = -8 * sum << 16 | -8 * sum & 0xffff;
        floats[scaleTo] = scale;
        floats[scaleTo + units] = scale * sum;
    }
}
