package org.duoattention.core.sample;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.BitSet;
import java.util.HashSet;
import java.util.Set;
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
