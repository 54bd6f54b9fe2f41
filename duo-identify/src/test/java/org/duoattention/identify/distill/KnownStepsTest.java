package org.duoattention.identify.distill;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.duoattention.api.backend.Capability;
import org.duoattention.core.session.Duo;
import org.duoattention.core.session.Model;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** A whole step against an independent implementation: loss and gradient of five checkpoints, on every CPU backend. */
class KnownStepsTest {
    private static final double LOSS_BOUND = 1e-4;
    private static final double GRADIENT_BOUND = 1e-3;
    /** Entries this much smaller than the largest one are compared by its size. */
    private static final double FLOOR = 1e-2;

    static Stream<Arguments> modelsAndBackends() {
        return Stream.of("llama-gqa", "llama31-rope", "qwen2-bias", "llama-mha-f16", "nano-retrieval")
                .flatMap(model -> Stream.of("cpu-scalar", "cpu").map(backend -> Arguments.of(model, backend)));
    }

    @ParameterizedTest(name = "{0} on {1}")
    @MethodSource("modelsAndBackends")
    void lossAndGradientMatch(String name, String backend) throws InterruptedException {
        GateCase expected = GateCase.read(name);
        int tokens = expected.sequence().ids().length;
        try (Model model = Duo.create()
                .model(expected.directory())
                .backend(backend)
                .require(Capability.GRADIENTS)
                .ropePrecision(GateCase.ropePrecision(name))
                .open()) {
            for (int block : backend.equals("cpu") ? List.of(7, 64, tokens, 512) : List.of(48)) {
                try (GateStep step =
                        new GateStep(FrozenModel.of(model), expected.settings(BlendRule.UPSTREAM, block), tokens)) {
                    check(step.run(expected.sequence(), expected.gates()), expected, "block " + block);
                    check(step.run(expected.sequence(), expected.gates()), expected, "block " + block + " again");
                }
            }
        }
    }

    private static void check(StepResult actual, GateCase expected, String what) {
        assertThat(actual.distill())
                .as("%s, distill", what)
                .isCloseTo(expected.distill(), relative(expected.distill()));
        assertThat(actual.regularisation()).as("%s, reg", what).isCloseTo(expected.reg(), relative(expected.reg()));
        assertThat(actual.loss()).as("%s, loss", what).isCloseTo(expected.loss(), relative(expected.loss()));
        double largest = Arrays.stream(expected.gradient())
                .flatMapToDouble(Arrays::stream)
                .map(Math::abs)
                .max()
                .orElseThrow();
        for (int layer = 0; layer < expected.gradient().length; layer++) {
            for (int head = 0; head < expected.gradient()[layer].length; head++) {
                double wanted = expected.gradient()[layer][head];
                assertThat(actual.gradient()[layer][head])
                        .as("%s, gradient of layer %d head %d", what, layer, head)
                        .isCloseTo(wanted, within(GRADIENT_BOUND * Math.max(Math.abs(wanted), FLOOR * largest)));
            }
        }
    }

    private static org.assertj.core.data.Offset<Double> relative(double value) {
        return within(LOSS_BOUND * Math.abs(value));
    }
}
