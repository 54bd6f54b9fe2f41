package org.duoattention.core.quantize;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.Arrays;
import org.duoattention.core.session.CancelledException;
import org.duoattention.core.session.Model;
import org.duoattention.core.session.Session;
import org.junit.jupiter.api.Test;

class OwnTextTest {
    private static final Path CHECKPOINT = Path.of("src", "test", "resources", "checkpoints", "mistral");

    /** Tokens that are sampled from a distribution have its entropy as their mean negative log-likelihood. */
    @Test
    void tokensComeFromTheModelsOwnDistribution() {
        try (Model model = Model.open(CHECKPOINT)) {
            long[] told = {0};
            int[] ids = OwnText.sample(model, 1300, count -> told[0] += count);
            assertThat(told[0]).isEqualTo(1300);
            assertThat(ids).hasSize(1300);
            double difference = 0;
            double variance = 0;
            int count = 0;
            for (int begin = 0; begin < ids.length; begin += 512) {
                int end = Math.min(ids.length, begin + 512);
                assertThat(ids[begin]).isEqualTo(1);
                try (Session session =
                        model.session().policy("full").maxContext(512).open()) {
                    for (int i = begin; i + 1 < end; i++) {
                        session.prefill(Arrays.copyOfRange(ids, i, i + 1));
                        double[] logProbabilities = logSoftmax(session.logits());
                        double entropy = 0;
                        double square = 0;
                        for (double l : logProbabilities) {
                            entropy -= Math.exp(l) * l;
                            square += Math.exp(l) * l * l;
                        }
                        difference += -logProbabilities[ids[i + 1]] - entropy;
                        variance += square - entropy * entropy;
                        count++;
                    }
                }
            }
            // Five standard errors. The likeliest tokens alone, or a temperature of 0.8, are far outside.
            assertThat(variance / count).isGreaterThan(0.1);
            assertThat(difference).isCloseTo(0, within(5 * Math.sqrt(variance)));
            assertThat(OwnText.sample(model, 1300, count2 -> {})).isEqualTo(ids);
        }
    }

    @Test
    void anInterruptEndsIt() {
        try (Model model = Model.open(CHECKPOINT)) {
            Thread.currentThread().interrupt();
            assertThatThrownBy(() -> OwnText.sample(model, 100, count -> {})).isInstanceOf(CancelledException.class);
        } finally {
            Thread.interrupted();
        }
    }

    private static double[] logSoftmax(float[] logits) {
        double most = Double.NEGATIVE_INFINITY;
        for (float logit : logits) {
            most = Math.max(most, logit);
        }
        double sum = 0;
        for (float logit : logits) {
            sum += Math.exp(logit - most);
        }
        double[] result = new double[logits.length];
        for (int i = 0; i < result.length; i++) {
            result[i] = logits[i] - most - Math.log(sum);
        }
        return result;
    }
}
