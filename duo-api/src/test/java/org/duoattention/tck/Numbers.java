package org.duoattention.tck;

import java.util.SplittableRandom;
import org.duoattention.api.tensor.DType;

/** Numbers for tests: repeatable, and exactly representable in the type they are meant for. */
final class Numbers {
    private Numbers() {}

    /** Values between {@code -magnitude} and {@code magnitude}. */
    static double[] random(DType dtype, int count, double magnitude, SplittableRandom random) {
        double[] numbers = new double[count];
        for (int i = 0; i < count; i++) {
            numbers[i] = HalfPrecision.round(dtype, (2 * random.nextDouble() - 1) * magnitude);
        }
        return numbers;
    }

    static double[] absolute(double[] numbers) {
        double[] out = new double[numbers.length];
        for (int i = 0; i < out.length; i++) {
            out[i] = Math.abs(numbers[i]);
        }
        return out;
    }
}
