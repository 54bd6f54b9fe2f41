package org.duoattention.backend.cpu.vector;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static jdk.incubator.vector.VectorOperators.I2F;
import static jdk.incubator.vector.VectorOperators.LSHR;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.I;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/** The products of one group of a block of 8-bit codes with floats; codes are scaled as in {@link GemvInt4}. */
final class GemvInt8 {
    private GemvInt8() {}

    /**
     * {@code y[row] = start + sum over the group of code * x}, for {@link QuantizedLayout#BLOCK} rows.
     *
     * @param w words of a group of a block from byte {@code at}
     * @param words words of the group
     * @param x four inputs per word from {@code xo}: the second times {@code 2^-8}, the third {@code 2^-16}
     */
    static void group(MemorySegment w, long at, int words, float[] x, int xo, float start, float[] y) {
        int vector = 4 * Simd.L;
        FloatVector a0 = FloatVector.broadcast(F, start), a1 = a0, b0 = a0, b1 = a0;
        for (int j = 0; j < words; j++) {
            int k = xo + 4 * j;
            FloatVector x0 = FloatVector.broadcast(F, x[k]);
            FloatVector x1 = FloatVector.broadcast(F, x[k + 1]);
            FloatVector x2 = FloatVector.broadcast(F, x[k + 2]);
            FloatVector x3 = FloatVector.broadcast(F, x[k + 3]);
            long p = at + 4L * vector * j;
            IntVector v = IntVector.fromMemorySegment(I, w, p, LITTLE_ENDIAN);
            a0 = ((FloatVector) v.and(0xff).convert(I2F, 0)).fma(x0, a0);
            a0 = ((FloatVector) v.and(0xff00).convert(I2F, 0)).fma(x1, a0);
            a0 = ((FloatVector) v.and(0xff0000).convert(I2F, 0)).fma(x2, a0);
            a0 = ((FloatVector) v.lanewise(LSHR, 24).convert(I2F, 0)).fma(x3, a0);
            v = IntVector.fromMemorySegment(I, w, p + vector, LITTLE_ENDIAN);
            a1 = ((FloatVector) v.and(0xff).convert(I2F, 0)).fma(x0, a1);
            a1 = ((FloatVector) v.and(0xff00).convert(I2F, 0)).fma(x1, a1);
            a1 = ((FloatVector) v.and(0xff0000).convert(I2F, 0)).fma(x2, a1);
            a1 = ((FloatVector) v.lanewise(LSHR, 24).convert(I2F, 0)).fma(x3, a1);
            v = IntVector.fromMemorySegment(I, w, p + 2L * vector, LITTLE_ENDIAN);
            b0 = ((FloatVector) v.and(0xff).convert(I2F, 0)).fma(x0, b0);
            b0 = ((FloatVector) v.and(0xff00).convert(I2F, 0)).fma(x1, b0);
            b0 = ((FloatVector) v.and(0xff0000).convert(I2F, 0)).fma(x2, b0);
            b0 = ((FloatVector) v.lanewise(LSHR, 24).convert(I2F, 0)).fma(x3, b0);
            v = IntVector.fromMemorySegment(I, w, p + 3L * vector, LITTLE_ENDIAN);
            b1 = ((FloatVector) v.and(0xff).convert(I2F, 0)).fma(x0, b1);
            b1 = ((FloatVector) v.and(0xff00).convert(I2F, 0)).fma(x1, b1);
            b1 = ((FloatVector) v.and(0xff0000).convert(I2F, 0)).fma(x2, b1);
            b1 = ((FloatVector) v.lanewise(LSHR, 24).convert(I2F, 0)).fma(x3, b1);
        }
        a0.intoArray(y, 0);
        a1.intoArray(y, Simd.L);
        b0.intoArray(y, 2 * Simd.L);
        b1.intoArray(y, 3 * Simd.L);
    }
}
