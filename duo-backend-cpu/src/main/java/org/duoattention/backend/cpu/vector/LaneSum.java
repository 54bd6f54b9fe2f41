package org.duoattention.backend.cpu.vector;

import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.L;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorShuffle;

/**
 * The sum of a vector's lanes in one fixed order. {@code reduceLanes(ADD)} leaves the order open, and code that runs compiled
 * and interpreted in turn then differs in the last bit: a run that is resumed in another process would not end with the
 * same numbers.
 */
final class LaneSum {
    private static final VectorShuffle<Float> BY8 = swap(8);
    private static final VectorShuffle<Float> BY4 = swap(4);
    private static final VectorShuffle<Float> BY2 = swap(2);
    private static final VectorShuffle<Float> BY1 = swap(1);

    private LaneSum() {}

    private static VectorShuffle<Float> swap(int distance) {
        return VectorShuffle.fromOp(F, lane -> distance < L ? lane ^ distance : lane);
    }

    /** The same sum, of lanes in an array, which this overwrites: for loops that the compiler inlines nothing more into. */
    static float of(float[] lanes, int from) {
        for (int half = L / 2; half > 0; half /= 2) {
            for (int i = from; i < from + half; i++) {
                lanes[i] += lanes[i + half];
            }
        }
        return lanes[from];
    }

    static float of(FloatVector vector) {
        FloatVector sum = vector;
        if (L > 8) {
            sum = sum.add(sum.rearrange(BY8));
        }
        if (L > 4) {
            sum = sum.add(sum.rearrange(BY4));
        }
        if (L > 2) {
            sum = sum.add(sum.rearrange(BY2));
        }
        return sum.add(sum.rearrange(BY1)).lane(0);
    }
}
