package org.duoattention.identify.score;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.model.ModelShape;
import org.duoattention.core.head.HeadPattern;
import org.duoattention.core.session.Duo;
import org.duoattention.core.session.Model;
import org.duoattention.identify.data.LabelRule;
import org.duoattention.identify.data.MultiPasskeyData;
import org.duoattention.identify.data.MultiPasskeySettings;
import org.duoattention.identify.data.PasskeySequence;
import org.duoattention.identify.data.PasskeySequence.Passkey;
import org.duoattention.identify.distill.HostRows;
import org.duoattention.identify.text.HaystackText;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** On a trained model with grouped queries, against softmax written down in 64 bits. */
class AttentionProfilingTest {
    private static final Path CHECKPOINT =
            Path.of(System.getProperty("duo.shared", "../../shared"), "models", "nano-retrieval");

    @Test
    void theShareOfAttentionIsThatOfSoftmax() {
        Assumptions.assumeTrue(
                Files.isDirectory(CHECKPOINT), CHECKPOINT + " is absent: profiling of a trained model was not checked");
        try (Model model = Duo.create().model(CHECKPOINT).open()) {
            MultiPasskeySettings settings =
                    new MultiPasskeySettings(3, 5, 560, 560, 1, 0.05, 0.95, 100, LabelRule.ANSWER, 16, 4);
            MultiPasskeyData data = new MultiPasskeyData(
                    settings,
                    HaystackText.generated(4),
                    model.tokenizer().orElseThrow()::encode,
                    model.config().contextLimit(),
                    model.shape().vocabSize());
            ScoringContext context = ScoringContext.of(model, data, 16, 64);
            HeadPattern pattern = new AttentionProfiling(1).score(context, (done, total) -> {});

            PasskeySequence sample = data.passkeys(0);
            Recorder recorder = new Recorder();
            try (FullPass pass = new FullPass(context.model(), data.maxTokens())) {
                pass.run(sample.sequence().ids(), recorder, count -> {});
            }
            ModelShape shape = model.shape();
            double total = 0;
            for (int layer = 0; layer < shape.layers(); layer++) {
                for (int head = 0; head < shape.kvHeads(); head++) {
                    double expected = mass(recorder, shape, sample, layer, head);
                    assertThat(pattern.score(layer, head)).isCloseTo(expected, within(1e-5));
                    total += expected;
                }
            }
            assertThat(total).isGreaterThan(0.5);
        }
    }

    /** Keeps the queries and keys of all layers. */
    private static final class Recorder implements FullPass.Observer {
        private final List<List<float[]>> q = new ArrayList<>();
        private final List<List<float[]>> k = new ArrayList<>();

        @Override
        public void begin(ComputeStream stream, int layer) {
            q.add(new ArrayList<>());
            k.add(new ArrayList<>());
        }

        @Override
        public void see(ComputeStream stream, FullPass.Block block) {
            for (int row = 0; row < block.rows(); row++) {
                q.getLast().add(HostRows.download(stream, block.q().rows(row, 1)));
                k.getLast().add(HostRows.download(stream, block.k().rows(row, 1)));
            }
        }
    }

    private static double mass(Recorder recorder, ModelShape shape, PasskeySequence sample, int layer, int kvHead) {
        int group = shape.attentionHeads() / shape.kvHeads();
        double sum = 0;
        int count = 0;
        for (Passkey passkey : sample.passkeys()) {
            for (int token = passkey.answerFrom() - 1; token < passkey.answerTo() - 1; token++) {
                for (int head = kvHead * group; head < (kvHead + 1) * group; head++) {
                    double whole = 0;
                    double paid = 0;
                    for (int j = 0; j <= token; j++) {
                        double product = 0;
                        for (int d = 0; d < shape.headDim(); d++) {
                            product += (double) recorder.q.get(layer).get(token)[head * shape.headDim() + d]
                                    * recorder.k.get(layer).get(j)[kvHead * shape.headDim() + d];
                        }
                        double weight = Math.exp(product / Math.sqrt(shape.headDim()));
                        whole += weight;
                        paid += j >= passkey.from() && j < passkey.to() ? weight : 0;
                    }
                    sum += paid / whole;
                    count++;
                }
            }
        }
        return sum / count;
    }
}
