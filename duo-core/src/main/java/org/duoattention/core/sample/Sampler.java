package org.duoattention.core.sample;

import java.util.Arrays;
import java.util.BitSet;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import org.duoattention.core.DuoException;

/** Chooses tokens by a {@link Sampling}. Holds the random state of one generation; not thread-safe. */
public final class Sampler {
    private final Sampling sampling;
    private final RandomGenerator random;
    private double[] scores = {};

    /** A sampler at the beginning of its random sequence. */
    public Sampler(Sampling sampling) {
        this.sampling = sampling;
        this.random = RandomGeneratorFactory.of("L64X128MixRandom").create(sampling.seed());
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
            if (Float.isNaN(logits[i])) {
                throw new DuoException("The model's logits are not numbers (NaN for token " + i
                        + "); the weights may be damaged, or values overflow: try kv bf16 or f32");
            }
            scores[i] = logits[i];
        }
        if (sampling.repetitionPenalty() != 1) {
            seen.stream()
                    .filter(id -> id < scores.length)
                    .forEach(id -> scores[id] = scores[id] > 0
                            ? scores[id] / sampling.repetitionPenalty()
                            : scores[id] * sampling.repetitionPenalty());
        }
        return sampling.temperature() == 0 ? argmax() : draw();
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

    private int draw() {
        double max = scores[argmax()];
        Integer[] order = new Integer[scores.length];
        Arrays.setAll(order, i -> i);
        Arrays.sort(
                order, (a, b) -> scores[a] == scores[b] ? Integer.compare(a, b) : Double.compare(scores[b], scores[a]));
        int kept = sampling.topK() == 0 ? order.length : Math.min(sampling.topK(), order.length);
        double[] weights = new double[kept];
        double total = 0;
        for (int i = 0; i < kept; i++) {
            weights[i] = Math.exp((scores[order[i]] - max) / sampling.temperature());
            total += weights[i];
        }
        kept = nucleus(weights, kept, total);
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
                return order[i];
            }
        }
        return order[kept - 1];
    }

    private int nucleus(double[] weights, int kept, double total) {
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
}
