package org.duoattention.backend.cpu.vector;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static jdk.incubator.vector.VectorOperators.ASHR;
import static jdk.incubator.vector.VectorOperators.I2F;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LSHR;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.I;
import static org.duoattention.backend.cpu.vector.Simd.L;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * The linear layer of one row of input and 4-bit codes, the input rounded to 8 bits in units of {@link #UNIT} elements. Products
 * are summed in 16 bits: codes less their centre are at most 8 in size and inputs 127, so that 32 products fit. Codes
 * stay unsigned, and sums start at minus the centre times the sum of the inputs; that they wrap around on the way does not
 * matter.
 *
 * <p>For the same reason codes need not be cut out of the word {@code w} of four. With {@code w_i = w >>> 4 i}, which
 * still holds the later codes, code {@code i} is {@code w_i - 16 w_(i+1)}, so that the sum of codes times inputs is that of
 * {@code w_i (x_i - 16 x_(i-1))}, without an input before the first. This takes eleven
 * instructions for a vector of codes instead of fifteen, and a decode step is bound by them as much as by memory.
 */
final class GemvInt4Int8 {
    /** Inputs that share a scale; groups of weights are a multiple of it. */
    static final int UNIT = 32;

    /**
     * Whether shorts are shifted by vectors of counts: one instruction with AVX-512, and many without it. By one count for all
     * lanes it is two.
     */
    private static final boolean LANEWISE = L == 16;

    private static final ShortVector FOUR = count(4);
    private static final ShortVector EIGHT = count(8);
    private static final ShortVector TWELVE = count(12);

    private GemvInt4Int8() {}

    private static ShortVector count(int bits) {
        return ShortVector.broadcast(VectorSpecies.of(short.class, I.vectorShape()), bits);
    }

    /**
     * The sums of a block, {@link QuantizedLayout#BLOCK} rows.
     *
     * @param w the block from byte {@code at}
     * @param layout its order
     * @param half whether scales are F16, else F32
     * @param asymmetric whether there are offsets
     * @param x coefficients of rounded inputs from {@code xo}, each twice in an int; from {@code xo + in} per unit minus
     *     eight times the sum of its rounded inputs, also twice
     * @param scales per unit from {@code so} its scale, then from {@code so + in / UNIT} its scale times the sum of its
     *     rounded inputs
     * @param y the result
     */
    static void block(
            MemorySegment w,
            long at,
            QuantizedLayout layout,
            boolean half,
            boolean asymmetric,
            int[] x,
            int xo,
            float[] scales,
            int so,
            float[] y) {
        int units = layout.words() / (UNIT / 4);
        int all = units * layout.groups();
        long scalesAt = layout.scalesAt();
        long offsetsAt = layout.offsetsAt();
        long groupBytes = layout.groupBytes();
        FloatVector two = FloatVector.broadcast(F, 2);
        FloatVector least = FloatVector.broadcast(F, Half.MINUS_LEAST_NORMAL);
        FloatVector t0 = FloatVector.zero(F), t1 = t0, t2 = t0, t3 = t0;
        for (int turn = 0; turn < layout.groups(); turn++) {
            int g = layout.inTurn(turn);
            int u = g * units;
            long q = at + g * groupBytes;
            FloatVector a0 = FloatVector.zero(F), a1 = a0, a2 = a0, a3 = a0;
            IntVector v, m, n;
            ShortVector c;
            long p = q;
            float sum = 0;
            for (int end = u + units; u < end; u++, p += 8L * UNIT / 4 * L) {
                ShortVector d0 = IntVector.broadcast(I, x[xo + all * UNIT + u]).reinterpretAsShorts(), d1 = d0;
                ShortVector e0 = IntVector.zero(I).reinterpretAsShorts(), e1 = e0;
                // No for loop: of a counted one the compiler runs the first turn in a copy with the range checks of all
                // turns.
                int j = 0;
                do {
                    int k = xo + u * UNIT + 4 * j;
                    ShortVector x0 = IntVector.broadcast(I, x[k]).reinterpretAsShorts();
                    ShortVector x1 = IntVector.broadcast(I, x[k + 1]).reinterpretAsShorts();
                    ShortVector x2 = IntVector.broadcast(I, x[k + 2]).reinterpretAsShorts();
                    ShortVector x3 = IntVector.broadcast(I, x[k + 3]).reinterpretAsShorts();
                    c = IntVector.fromMemorySegment(I, w, p + 8L * j * L, LITTLE_ENDIAN)
                            .reinterpretAsShorts();
                    d0 = c.mul(x0).add(d0);
                    e0 = (LANEWISE ? c.lanewise(LSHR, FOUR) : c.lanewise(LSHR, 4))
                            .mul(x1)
                            .add(e0);
                    d0 = (LANEWISE ? c.lanewise(LSHR, EIGHT) : c.lanewise(LSHR, 8))
                            .mul(x2)
                            .add(d0);
                    e0 = (LANEWISE ? c.lanewise(LSHR, TWELVE) : c.lanewise(LSHR, 12))
                            .mul(x3)
                            .add(e0);
                    c = IntVector.fromMemorySegment(I, w, p + 8L * j * L + 4L * L, LITTLE_ENDIAN)
                            .reinterpretAsShorts();
                    d1 = c.mul(x0).add(d1);
                    e1 = (LANEWISE ? c.lanewise(LSHR, FOUR) : c.lanewise(LSHR, 4))
                            .mul(x1)
                            .add(e1);
                    d1 = (LANEWISE ? c.lanewise(LSHR, EIGHT) : c.lanewise(LSHR, 8))
                            .mul(x2)
                            .add(d1);
                    e1 = (LANEWISE ? c.lanewise(LSHR, TWELVE) : c.lanewise(LSHR, 12))
                            .mul(x3)
                            .add(e1);
                    j++;
                } while ((j & UNIT / 4) == 0);
                FloatVector scale = FloatVector.broadcast(F, scales[so + u]);
                sum += scales[so + all + u];
                v = d0.add(e0).reinterpretAsInts();
                a0 = ((FloatVector) v.lanewise(LSHL, 16).lanewise(ASHR, 16).convert(I2F, 0)).fma(scale, a0);
                a1 = ((FloatVector) v.lanewise(ASHR, 16).convert(I2F, 0)).fma(scale, a1);
                v = d1.add(e1).reinterpretAsInts();
                a2 = ((FloatVector) v.lanewise(LSHL, 16).lanewise(ASHR, 16).convert(I2F, 0)).fma(scale, a2);
                a3 = ((FloatVector) v.lanewise(ASHR, 16).convert(I2F, 0)).fma(scale, a3);
            }
            if (asymmetric) {
                FloatVector centre = FloatVector.broadcast(F, 8 * sum);
                a0 = a0.add(centre);
                a1 = a1.add(centre);
                a2 = a2.add(centre);
                a3 = a3.add(centre);
            }
            FloatVector s0, s1;
            if (half) {
                v = IntVector.fromMemorySegment(I, w, q + scalesAt, LITTLE_ENDIAN);
                m = v.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);
                n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
                s0 = m.min(n)
                        .or(v.lanewise(LSHL, 16).and(Half.SIGN))
                        .reinterpretAsFloats()
                        .mul(Half.UNSCALE);
                m = v.lanewise(LSHR, 3).and(Half.MAGNITUDE).or(Half.BIAS);
                n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
                s1 = m.min(n).or(v.and(Half.SIGN)).reinterpretAsFloats().mul(Half.UNSCALE);
                t0 = a0.fma(s0, t0);
                t1 = a1.fma(s1, t1);
                v = IntVector.fromMemorySegment(I, w, q + scalesAt + 4L * L, LITTLE_ENDIAN);
                m = v.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);
                n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
                s0 = m.min(n)
                        .or(v.lanewise(LSHL, 16).and(Half.SIGN))
                        .reinterpretAsFloats()
                        .mul(Half.UNSCALE);
                m = v.lanewise(LSHR, 3).and(Half.MAGNITUDE).or(Half.BIAS);
                n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
                s1 = m.min(n).or(v.and(Half.SIGN)).reinterpretAsFloats().mul(Half.UNSCALE);
                t2 = a2.fma(s0, t2);
                t3 = a3.fma(s1, t3);
            } else {
                s0 = FloatVector.fromMemorySegment(F, w, q + scalesAt, LITTLE_ENDIAN);
                s1 = FloatVector.fromMemorySegment(F, w, q + scalesAt + 4L * L, LITTLE_ENDIAN);
                t0 = a0.fma(s0, t0);
                t1 = a1.fma(s1, t1);
                s0 = FloatVector.fromMemorySegment(F, w, q + scalesAt + 8L * L, LITTLE_ENDIAN);
                s1 = FloatVector.fromMemorySegment(F, w, q + scalesAt + 8L * L + 4L * L, LITTLE_ENDIAN);
                t2 = a2.fma(s0, t2);
                t3 = a3.fma(s1, t3);
            }
            if (asymmetric) {
                a0 = FloatVector.broadcast(F, sum);
                if (half) {
                    v = IntVector.fromMemorySegment(I, w, q + offsetsAt, LITTLE_ENDIAN);
                    m = v.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);
                    n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
                    s0 = m.min(n)
                            .or(v.lanewise(LSHL, 16).and(Half.SIGN))
                            .reinterpretAsFloats()
                            .mul(Half.UNSCALE);
                    m = v.lanewise(LSHR, 3).and(Half.MAGNITUDE).or(Half.BIAS);
                    n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
                    s1 = m.min(n).or(v.and(Half.SIGN)).reinterpretAsFloats().mul(Half.UNSCALE);
                    t0 = a0.fma(s0, t0);
                    t1 = a0.fma(s1, t1);
                    v = IntVector.fromMemorySegment(I, w, q + offsetsAt + 4L * L, LITTLE_ENDIAN);
                    m = v.lanewise(LSHL, 13).and(Half.MAGNITUDE).or(Half.BIAS);
                    n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
                    s0 = m.min(n)
                            .or(v.lanewise(LSHL, 16).and(Half.SIGN))
                            .reinterpretAsFloats()
                            .mul(Half.UNSCALE);
                    m = v.lanewise(LSHR, 3).and(Half.MAGNITUDE).or(Half.BIAS);
                    n = m.reinterpretAsFloats().fma(two, least).reinterpretAsInts();
                    s1 = m.min(n).or(v.and(Half.SIGN)).reinterpretAsFloats().mul(Half.UNSCALE);
                    t2 = a0.fma(s0, t2);
                    t3 = a0.fma(s1, t3);
                } else {
                    s0 = FloatVector.fromMemorySegment(F, w, q + offsetsAt, LITTLE_ENDIAN);
                    s1 = FloatVector.fromMemorySegment(F, w, q + offsetsAt + 4L * L, LITTLE_ENDIAN);
                    t0 = a0.fma(s0, t0);
                    t1 = a0.fma(s1, t1);
                    s0 = FloatVector.fromMemorySegment(F, w, q + offsetsAt + 8L * L, LITTLE_ENDIAN);
                    s1 = FloatVector.fromMemorySegment(F, w, q + offsetsAt + 8L * L + 4L * L, LITTLE_ENDIAN);
                    t2 = a0.fma(s0, t2);
                    t3 = a0.fma(s1, t3);
                }
            }
        }
        t0.intoArray(y, 0);
        t1.intoArray(y, L);
        t2.intoArray(y, 2 * L);
        t3.intoArray(y, 3 * L);
    }
}
