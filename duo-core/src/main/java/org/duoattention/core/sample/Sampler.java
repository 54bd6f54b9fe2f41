package org.duoattention.core.sample;

import java.util.BitSet;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import org.duoattention.core.DuoException;

/**
 * Chooses tokens by a {@link Sampling}. Holds the random state of one generation and arrays as long as the vocabulary, so that
 * only its first token allocates; not thread-safe.
 */
public final class Sampler {
    private final Sampling sampling;
    private final RandomGenerator random;
    private final Ranking ranking = new Ranking();
    private final Highest given = new Highest();
    private double[] scores = {};
    private double[] weights = {};

    /** A sampler at the beginning of its random sequence. */
    public Sampler(Sampling sampling) {
        this.sampling = sampling;
        this.random = RandomGeneratorFactory.of("L64X128MixRandom").create(sampling.seed());
    }

    /** How many of the highest logits the choice depends on, whatever the others are; 0 when it depends on all. */
    public int highest(int vocabulary) {
        if (sampling.repetitionPenalty() != 1) {
            return 0;
        }
        return sampling.temperature() == 0 ? 1 : Math.min(sampling.topK(), vocabulary);
    }

    /**
     * The token that {@link #next(float[], BitSet)} chooses, without the logits that do not matter; in the order of {@link
     * org.duoattention.api.backend.ComputeStream#topK}.
     *
     * @param ids the tokens with the highest logits, at least {@link #highest} of them; not changed
     * @param logits one per id; not changed
     * @throws DuoException when a logit is NaN
     */
    public int next(int[] ids, float[] logits) {
        int needed = highest(ids.length);
        if (needed == 0) {
            throw new IllegalArgumentException("some of the logits do not suffice for " + sampling);
        }
        requireNumber(logits[0], ids[0]);
        if (sampling.temperature() == 0) {
            return ids[0];
        }
        given.of(ids, logits);
        return draw(given, needed);
    }

    private static void requireNumber(float logit, int id) {
        if (Float.isNaN(logit)) {
            throw new DuoException("The model's logits are not numbers (NaN for token " + id
                    + "); the weights may be damaged, or values overflow: try kv bf16 or f32");
        }
    }

    /**
     * The next token.
     *
     * @param logits one per token id; not changed
     * @param seen tokens that the repetition penalty applies to
     * @throws DuoException when a logit is NaN
     */
    public int next(float[] logits, BitSet seen) {
        if (scores.length != logits.length) {
            scores = new double[logits.length];
        }
        for (int i = 0; i < scores.length; i++) {
            requireNumber(logits[i], i);
            scores[i] = logits[i];
        }
        if (sampling.repetitionPenalty() != 1) {
            penalise(seen);
        }
        if (sampling.temperature() == 0) {
            return argmax();
        }
        ranking.of(scores);
        return draw(ranking, sampling.topK() == 0 ? scores.length : Math.min(sampling.topK(), scores.length));
    }

    private int argmax() {
        int best = 0;
        for (int i = 1; i < scores.length; i++) {
            if (scores[i] > scores[best]) {
                best = i;
            }
        }
        return best;
    }

    private void penalise(BitSet seen) {
        for (int id = seen.nextSetBit(0); id >= 0 && id < scores.length; id = seen.nextSetBit(id + 1)) {
            scores[id] = scores[id] > 0
                    ? scores[id] / sampling.repetitionPenalty()
                    : scores[id] * sampling.repetitionPenalty();
        }
    }

    /** Draws from the first {@code most} ranks. */
    private int draw(Ranked ranked, int most) {
        if (weights.length != most) {
            weights = new double[most];
        }
        double max = ranked.score(0);
        double total = 0;
        int kept = 0;
        while (kept < most) {
            double weight = Math.exp((ranked.score(kept) - max) / sampling.temperature());
            if (sampling.topP() == 1 && kept > 0 && weight < sampling.minP() * weights[0]) {
                // Nor is any after it likely enough. Where there is a nucleus, it is a share of them all.
                break;
            }
            weights[kept++] = weight;
            total += weight;
        }
        kept = nucleus(kept, total);
        while (kept > 1 && weights[kept - 1] < sampling.minP() * weights[0]) {
            kept--;
        }
        double keptTotal = 0;
        for (int i = 0; i < kept; i++) {
            keptTotal += weights[i];
        }
        double point = random.nextDouble() * keptTotal;
        for (int i = 0; i < kept - 1; i++) {
            point -= weights[i];
            if (point < 0) {
                return ranked.id(i);
            }
        }
        return ranked.id(kept - 1);
    }

    private int nucleus(int kept, double total) {
        if (sampling.topP() == 1) {
            return kept;
        }
        double mass = 0;
        for (int i = 0; i < kept; i++) {
            mass += weights[i];
            if (mass >= sampling.topP() * total) {
                return i + 1;
            }
        }
        return kept;
    }

    /** Scores that came in their order. */
    private static final class Highest implements Ranked {
        private int[] ids = {};
        private float[] logits = {};

        void of(int[] ids, float[] logits) {
            this.ids = ids;
            this.logits = logits;
        }

        @Override
        public double score(int rank) {
            return logits[rank];
        }

        @Override
        public int id(int rank) {
            return ids[rank];
        }
    }
}
