package org.duoattention.identify.constructed;

import java.util.stream.IntStream;

/**
 * Attention scores that depend on the distance of two tokens alone, made of rotary position embedding.
 *
 * <p>If the keys of a head are one constant vector and its queries another, RoPE makes the score of a query at t and a
 * key at j the sum over pairs of {@code g[i] cos(w[i] (t - j - offset))}: the gains g are products of lengths, the
 * offset is a rotation of the query. At distance {@code offset} all cosines are 1 and the score is the sum of the
 * gains; everywhere else it is lower by {@code sum g[i] (1 - cos(w[i] (t - j - offset)))}.
 *
 * <p>With theta = 4.4e15 and 16 pairs, neighbouring frequencies differ by a factor of 9.5: pair 0 turns by a radian a
 * token, pair 6 by 1.4e-6, so the pairs 0 to 6 tell all distances to millions of tokens apart like the digits of a
 * number, and the pairs 8 to 15 (less than 0.016 radians in a million tokens) hardly turn and can carry content. The
 * factor is 9.5 and not 10 because 10^n is close to a multiple of 2 pi for too many n. Gains and theta are the solution
 * of a linear programme (largest gap for a given sum of gains), rounded.
 */
final class RotaryKernel {
    static final double THETA = 4.4e15;
    static final int HEAD_DIM = 32;

    /** The furthest distance for which the gaps below were computed. */
    static final long MAX_DISTANCE = 4L << 20;

    private static final int PAIRS = HEAD_DIM / 2;

    private static final double[] FREQUENCIES = IntStream.range(0, PAIRS)
            .mapToDouble(pair -> (float) StrictMath.pow(THETA, -pair / (double) PAIRS))
            .toArray();

    /** One token is hit: every other distance scores at least 15.3 less, its neighbours at least 17. */
    static final RotaryKernel POINT = new RotaryKernel(36, 80, 52, 60, 48, 38, 48);

    /**
     * Near beats far: a distance d of 2 to 11 scores at least 8.5 more than any of d + 8 and above, which is how far
     * apart the ordinals of neighbouring passkey lines are, and at least 14 more than any of 24 and above.
     */
    static final RotaryKernel NEAREST = new RotaryKernel(0, 16, 144, 108, 92, 92, 72);

    private final double[] gains;

    private RotaryKernel(double... gains) {
        this.gains = gains;
    }

    /** Radians that a pair turns per token. */
    static double frequency(int pair) {
        return FREQUENCIES[pair];
    }

    /** Pairs that have a gain; the others are zero. */
    int pairs() {
        return gains.length;
    }

    double gain(int pair) {
        return gains[pair];
    }

    /** The score at a distance from the offset. */
    double score(long distance) {
        double score = 0;
        for (int pair = 0; pair < gains.length; pair++) {
            score += gains[pair] * Math.cos(FREQUENCIES[pair] * distance);
        }
        return score;
    }
}
