package org.duoattention.core.sample;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;
import java.util.BitSet;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import java.util.stream.IntStream;
import org.duoattention.core.DuoException;
import org.junit.jupiter.api.Test;

class SamplerTest {
    private static final float[] LOGITS = {0f, 3f, 1f, 2f, -1f};

    private static int[] counts(Sampling sampling, float[] logits, int draws) {
        Sampler sampler = new Sampler(sampling);
        int[] counts = new int[logits.length];
        for (int i = 0; i < draws; i++) {
            counts[sampler.next(logits, new BitSet())]++;
        }
        return counts;
    }

    private static Set<Integer> support(Sampling sampling) {
        int[] counts = counts(sampling, LOGITS, 5_000);
        Set<Integer> support = new HashSet<>();
        for (int i = 0; i < counts.length; i++) {
            if (counts[i] > 0) {
                support.add(i);
            }
        }
        return support;
    }

    @Test
    void greedyTakesTheLowestOfEqualLogits() {
        assertThat(new Sampler(Sampling.greedy()).next(new float[] {1, 5, 5, 2}, new BitSet()))
                .isEqualTo(1);
    }

    @Test
    void frequenciesFollowTheSoftmaxAtTheTemperature() {
        int draws = 40_000;
        int[] counts = counts(Sampling.temperature(2, 1), LOGITS, draws);
        double total = 0;
        for (float logit : LOGITS) {
            total += Math.exp(logit / 2.0);
        }
        for (int i = 0; i < LOGITS.length; i++) {
            double p = Math.exp(LOGITS[i] / 2.0) / total;
            // Four standard deviations of a binomial.
            assertThat(counts[i] / (double) draws).isCloseTo(p, within(4 * Math.sqrt(p * (1 - p) / draws)));
        }
    }

    @Test
    void filtersKeepWhatTheyShould() {
        Sampling hot = Sampling.temperature(5, 3);
        assertThat(support(hot)).containsExactlyInAnyOrder(0, 1, 2, 3, 4);
        assertThat(support(hot.withTopK(2))).containsExactlyInAnyOrder(1, 3);
        // At temperature 1 the probabilities of 3, 2, 1 are .636, .234, .086: two reach .8.
        assertThat(support(Sampling.temperature(1, 3).withTopP(0.8))).containsExactlyInAnyOrder(1, 3);
        // exp(-1) = .37 passes a relative bound of .3, exp(-2) = .14 does not.
        assertThat(support(Sampling.temperature(1, 3).withMinP(0.3))).containsExactlyInAnyOrder(1, 3);
        assertThat(support(hot.withTopP(1e-9))).containsExactly(1);
    }

    @Test
    void theRepetitionPenaltyAppliesToSeenTokensOnly() {
        BitSet seen = new BitSet();
        seen.set(1);
        Sampler sampler = new Sampler(Sampling.greedy().withRepetitionPenalty(2));
        assertThat(sampler.next(LOGITS, seen)).isEqualTo(3);
        assertThat(sampler.next(LOGITS, new BitSet())).isEqualTo(1);
        // A negative logit gets smaller, not larger.
        BitSet first = new BitSet();
        first.set(0);
        assertThat(sampler.next(new float[] {-1f, -1.5f}, first)).isEqualTo(1);
    }

    /** What {@link Sampling} says, step by step over sorted lists. */
    private static int plainly(Sampling sampling, float[] logits, BitSet seen, RandomGenerator random) {
        double[] scores = new double[logits.length];
        for (int i = 0; i < scores.length; i++) {
            double logit = logits[i];
            double penalty = seen.get(i) ? sampling.repetitionPenalty() : 1;
            scores[i] = logit > 0 ? logit / penalty : logit * penalty;
        }
        List<Integer> ids = IntStream.range(0, scores.length)
                .boxed()
                .sorted(Comparator.<Integer>comparingDouble(id -> 0 - scores[id])
                        .thenComparing(id -> id))
                .limit(sampling.topK() == 0 ? scores.length : sampling.topK())
                .toList();
        double[] weights = ids.stream()
                .mapToDouble(id -> Math.exp((scores[id] - scores[ids.getFirst()]) / sampling.temperature()))
                .toArray();
        int kept = weights.length;
        if (sampling.topP() < 1) {
            double total = sum(weights, kept);
            kept = 1;
            while (sum(weights, kept) < sampling.topP() * total) {
                kept++;
            }
        }
        while (weights[kept - 1] < sampling.minP()) {
            kept--;
        }
        double point = random.nextDouble() * sum(weights, kept);
        int chosen = 0;
        for (point -= weights[0]; point >= 0 && chosen < kept - 1; point -= weights[chosen]) {
            chosen++;
        }
        return ids.get(chosen);
    }

    private static double sum(double[] values, int count) {
        double sum = 0;
        for (int i = 0; i < count; i++) {
            sum += values[i];
        }
        return sum;
    }

    @Test
    void tokensAreThoseOfSortedLists() {
        Random cases = new Random(5);
        for (int round = 0; round < 400; round++) {
            Sampling sampling = new Sampling(
                    List.of(1e-3, 0.7, 1.0, 3.0).get(cases.nextInt(4)),
                    List.of(0, 1, 3, 40, 5000).get(cases.nextInt(5)),
                    List.of(1.0, 0.95, 0.5, 1e-6).get(cases.nextInt(4)),
                    List.of(0.0, 0.05, 1.0).get(cases.nextInt(3)),
                    List.of(1.0, 1.3, 0.5).get(cases.nextInt(3)),
                    round);
            Sampler sampler = new Sampler(sampling);
            int vocabulary = 1 + cases.nextInt(round % 10 == 0 ? 600 : 60);
            RandomGenerator random =
                    RandomGeneratorFactory.of("L64X128MixRandom").create(round);
            // Few different values, so that there are ties; zeros of both signs among them.
            int values = 1 + cases.nextInt(200);
            BitSet seen = new BitSet();
            for (int draw = 0; draw < 20; draw++) {
                float[] logits = new float[vocabulary];
                for (int i = 0; i < vocabulary; i++) {
                    logits[i] = (cases.nextInt(values) - values / 2) / 8f * (cases.nextBoolean() ? 1 : -1);
                }
                int expected = plainly(sampling, logits, seen, random);
                assertThat(sampler.next(logits, seen))
                        .as("%s, %d tokens, draw %d", sampling, vocabulary, draw)
                        .isEqualTo(expected);
                seen.set(expected);
            }
        }
    }

    @Test
    void drawsTakeNoHeap() {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        float[] logits = new float[2000];
        for (int i = 0; i < logits.length; i++) {
            logits[i] = i * 7919 % 2003 / 100f;
        }
        BitSet seen = new BitSet();
        seen.set(3, 90);
        Sampler sampler = new Sampler(new Sampling(1, 500, 0.9, 0.01, 1.1, 0));
        for (int attempt = 0; ; attempt++) {
            long before = threads.getCurrentThreadAllocatedBytes();
            for (int i = 0; i < 100; i++) {
                sampler.next(logits, seen);
            }
            long bytes = threads.getCurrentThreadAllocatedBytes() - before;
            // The first rounds take the arrays, and what the measurement itself needs the first time.
            if (bytes < 1000 || attempt == 10) {
                assertThat(bytes).as("bytes of 100 draws").isLessThan(1000);
                return;
            }
        }
    }

    @Test
    void valuesOutOfRangeAreRefused() {
        refused(() -> Sampling.temperature(-1, 0), "temperature");
        refused(() -> Sampling.temperature(Double.NaN, 0), "temperature");
        refused(() -> Sampling.temperature(1, 0).withTopP(0), "top-p");
        refused(() -> Sampling.temperature(1, 0).withTopK(-1), "top-k");
        refused(() -> Sampling.temperature(1, 0).withMinP(2), "min-p");
        refused(() -> Sampling.greedy().withRepetitionPenalty(0), "repetition-penalty");
        refused(() -> Sampling.greedy().withTopK(3), "temperature");
    }

    private static void refused(Runnable action, String option) {
        assertThatThrownBy(action::run).isInstanceOf(DuoException.class).hasMessageContaining(option);
    }
}
