package org.duoattention.identify.score;

import java.util.Map;
import java.util.Random;
import org.duoattention.core.head.HeadPattern;
import org.duoattention.identify.text.Seeds;

/** Scores heads at random: what every other scorer has to beat. */
public final class RandomScorer implements HeadScorer {
    /** Keeps the draws apart from others' with the same seed. */
    private static final long PURPOSE = 0x524E44;

    private final long seed;

    /** Equal seeds give equal scores. */
    public RandomScorer(long seed) {
        this.seed = seed;
    }

    @Override
    public String name() {
        return "random";
    }

    @Override
    public HeadPattern score(ScoringContext context, ScoringProgress progress) {
        Random random = Seeds.random(seed, PURPOSE);
        double[][] scores = new double[context.shape().layers()][context.shape().kvHeads()];
        for (double[] layer : scores) {
            for (int head = 0; head < layer.length; head++) {
                layer[head] = random.nextDouble();
            }
        }
        return context.pattern(this, scores, Map.of("seed", seed));
    }
}
