package org.duoattention.core.session;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import java.util.stream.Stream;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.tck.AssertingBackend;
import org.duoattention.tck.OpaqueBackend;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Logits of quantised checkpoints against numpy in float64 on the dequantised weights. The files were packed by {@code
 * quantized.py} as the publications of the formats say.
 */
class QuantizedCheckpointsTest {
    private static final double BOUND = 1e-3;

    static Stream<Arguments> checkpoints() {
        return Stream.of("ct-int4", "ct-int4-asymmetric", "ct-int8-channel", "awq-int4", "gptq-int4", "gptq-v2-int4")
                .flatMap(name -> Stream.of("opaque", "cpu-scalar").map(backend -> Arguments.of(name, backend)));
    }

    @ParameterizedTest(name = "{0} on {1}")
    @MethodSource("checkpoints")
    void logitsMatch(String name, String backend) {
        List<ExpectedAnswers.Full> prompts =
                ExpectedAnswers.read(KnownModels.directory(name)).prompts();
        AssertingBackend opaque = new AssertingBackend(new OpaqueBackend());
        Duo duo = backend.equals("opaque") ? TestDuo.with(opaque) : Duo.create();
        try (Model model =
                duo.model(KnownModels.directory(name)).backend(backend).open()) {
            assertThat(model.weights().isQuantized()).isTrue();
            for (ExpectedAnswers.Full prompt : prompts) {
                try (Session session =
                        model.session().kv(BlockFormat.F32).maxContext(64).open()) {
                    session.prefill(prompt.ids());
                    float[] logits = session.logits();
                    for (int i = 0; i < logits.length; i++) {
                        assertThat((double) logits[i])
                                .as("logit %d after %d tokens", i, prompt.ids().length)
                                .isCloseTo(prompt.logits()[i], within(BOUND));
                    }
                }
            }
        }
        assertThat(prompts).isNotEmpty();
        opaque.assertClosed();
    }
}
