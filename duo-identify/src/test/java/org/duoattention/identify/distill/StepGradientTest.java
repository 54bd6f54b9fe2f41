package org.duoattention.identify.distill;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.Capability;
import org.duoattention.core.session.Duo;
import org.duoattention.core.session.Model;
import org.duoattention.core.spi.Backends;
import org.duoattention.core.spi.ProviderRegistry;
import org.duoattention.identify.data.TrainingSequence;
import org.duoattention.tck.AssertingBackend;
import org.duoattention.tck.OpaqueBackend;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The gradient of a whole step against central differences of its loss, on the float64 device whose memory the host cannot
 * read, under the decorator that asserts order, shapes and ownership. Qwen3 has norms of queries and keys, the Llama biases.
 */
class StepGradientTest {
    private static final double STEP = 1.0 / 64;
    private static final double REG = 0.05;

    static Stream<String> models() {
        return Stream.of("qwen3", "llama-bias");
    }

    /** The upstream rule blends in a constant, so every gate's derivative is that of the loss. */
    @ParameterizedTest
    @MethodSource("models")
    void upstreamMatchesFiniteDifferences(String name) throws InterruptedException {
        compare(name, BlendRule.UPSTREAM, 0);
    }

    /** Under the paper's rule what is blended in moves with earlier gates but is a constant by definition: only the last
     * layer's derivatives are those of the loss. */
    @ParameterizedTest
    @MethodSource("models")
    void paperMatchesFiniteDifferencesInTheLastLayer(String name) throws InterruptedException {
        compare(name, BlendRule.PAPER, 2);
    }

    private static void compare(String name, BlendRule rule, int fromLayer) throws InterruptedException {
        AssertingBackend backend = new AssertingBackend(new OpaqueBackend());
        try (Model model = open(name, backend)) {
            TrainingSequence sequence = sequence(model.shape().vocabSize());
            double[][] gates = gates(model);
            assertThat(gates.length).isGreaterThan(fromLayer);
            try (GateStep step = new GateStep(
                    FrozenModel.of(model), new StepSettings(3, 9, rule, REG, 16), sequence.ids().length + 5)) {
                double[][] gradient = step.run(sequence, gates).gradient();
                double largest = Arrays.stream(gradient)
                        .flatMapToDouble(Arrays::stream)
                        .map(Math::abs)
                        .max()
                        .orElseThrow();
                for (int layer = fromLayer; layer < gates.length; layer++) {
                    for (int head = 0; head < gates[layer].length; head++) {
                        double slope = slope(step, sequence, gates, layer, head);
                        assertThat(gradient[layer][head])
                                .as("layer %d head %d", layer, head)
                                .isCloseTo(slope, within(1e-3 * Math.max(Math.abs(slope), 0.05 * largest)));
                    }
                }
            }
        }
        backend.assertClosed();
    }

    /** Differences of fourth order, so that their own error is small beside the bound. */
    private static double slope(GateStep step, TrainingSequence sequence, double[][] gates, int layer, int head)
            throws InterruptedException {
        double near = loss(step, sequence, gates, layer, head, STEP) - loss(step, sequence, gates, layer, head, -STEP);
        double far = loss(step, sequence, gates, layer, head, 2 * STEP)
                - loss(step, sequence, gates, layer, head, -2 * STEP);
        return (8 * near - far) / (12 * STEP);
    }

    private static double loss(
            GateStep step, TrainingSequence sequence, double[][] gates, int layer, int head, double change)
            throws InterruptedException {
        double[][] moved = Arrays.stream(gates).map(double[]::clone).toArray(double[][]::new);
        moved[layer][head] += change;
        return step.run(sequence, moved).loss();
    }

    /** With every gate at one the student is the teacher, whatever is blended in. */
    @Test
    void openGatesLoseNothing() throws InterruptedException {
        for (BlendRule rule : BlendRule.values()) {
            AssertingBackend backend = new AssertingBackend(new OpaqueBackend());
            try (Model model = open("qwen3", backend)) {
                TrainingSequence sequence = sequence(model.shape().vocabSize());
                double[][] gates = gates(model);
                for (double[] layer : gates) {
                    Arrays.fill(layer, 1);
                }
                try (GateStep step = new GateStep(
                        FrozenModel.of(model), new StepSettings(3, 9, rule, REG, 16), sequence.ids().length)) {
                    StepResult result = step.run(sequence, gates);
                    assertThat(result.distill()).isLessThan(1e-12);
                    assertThat(result.loss()).isCloseTo(REG, within(1e-12));
                }
            }
        }
    }

    /** Steps leave nothing behind that a later one, or one on a shorter sequence, could see. */
    @Test
    void stepsDoNotDependOnThoseBefore() throws InterruptedException {
        AssertingBackend backend = new AssertingBackend(new OpaqueBackend());
        try (Model model = open("qwen3", backend)) {
            TrainingSequence whole = sequence(model.shape().vocabSize());
            TrainingSequence shorter = new TrainingSequence(Arrays.copyOf(whole.ids(), 37), new int[] {20, 36});
            StepSettings settings = new StepSettings(3, 9, BlendRule.UPSTREAM, REG, 16);
            StepResult alone;
            try (GateStep step = new GateStep(FrozenModel.of(model), settings, 37)) {
                alone = step.run(shorter, gates(model));
            }
            try (GateStep step = new GateStep(FrozenModel.of(model), settings, whole.ids().length)) {
                step.run(whole, gates(model));
                assertThat(step.run(shorter, gates(model)).gradient()).isDeepEqualTo(alone.gradient());
            }
        }
    }

    private static Model open(String name, AttentionBackend backend) {
        Duo duo = new Duo(
                new Backends(ProviderRegistry.of("backend", List.of(backend), AttentionBackend::id)),
                Duo.loadPolicies(),
                Duo.loadHeadMaskSources());
        return duo.model(Path.of("..", "duo-core", "src", "test", "resources", "checkpoints", name))
                .require(Capability.GRADIENTS)
                .open();
    }

    /** Labels with gaps, not in the first blocks, so that the last layer has rows that nobody needs. */
    private static TrainingSequence sequence(int vocabulary) {
        Random random = new Random(5);
        int[] ids = random.ints(53, 0, vocabulary).toArray();
        return new TrainingSequence(ids, new int[] {35, 36, 37, 41, 47, 48, 49, 50});
    }

    private static double[][] gates(Model model) {
        Random random = new Random(6);
        double[][] gates = new double[model.shape().layers()][model.shape().kvHeads()];
        for (double[] layer : gates) {
            for (int head = 0; head < layer.length; head++) {
                // A multiple of a power of two, which floats hold exactly.
                layer[head] = (16 + random.nextInt(32)) / 64.0;
            }
        }
        return gates;
    }
}
