package org.duoattention.tck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.Gradients;
import org.duoattention.api.backend.Gradients.LinearOutput;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.QuantizedSpec;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The backward operations outside attention, against {@link OracleGradients}. */
abstract class GradientsTopic extends BackendTopic {
    private static final List<DType> TYPES = List.of(DType.F32, DType.F16, DType.BF16);
    private static final List<Integer> SIZES = List.of(1, 7, 13, 127, 129);

    private Gradients gradients;

    @BeforeEach
    void needsGradients() {
        assumeTrue(subject.supports(Capability.GRADIENTS), "skipped: the backend has no backward operations");
        gradients = rig.stream.gradients();
    }

    @Test
    void theSameObjectEveryTime() {
        assertThat(rig.stream.gradients()).isSameAs(gradients);
    }

    static Stream<Arguments> linears() {
        List<int[]> widths = List.of(
                new int[] {1, 1},
                new int[] {7, 13},
                new int[] {13, 7},
                new int[] {127, 129},
                new int[] {129, 127},
                new int[] {129, 1},
                new int[] {1, 129},
                new int[] {64, 256},
                new int[] {256, 64});
        return TYPES.stream()
                .flatMap(dtype -> SIZES.stream()
                        .flatMap(tokens ->
                                widths.stream().map(width -> Arguments.of(dtype, tokens, width[0], width[1]))));
    }

    @ParameterizedTest(name = "{0}, {1} tokens, {2} inputs, {3} outputs")
    @MethodSource("linears")
    void linearBackward(DType dtype, int tokens, int in, int outputs) {
        double r = subject.operandRounding().applyAsDouble(dtype);
        List<GradientBounds.Layer> layers = new ArrayList<>();
        List<LinearOutput> tensors = new ArrayList<>();
        for (int outs : new int[] {outputs, 5, outputs + 3}) {
            double[] weight = rig.random(dtype, outs * in, 1);
            double[] gradient = rig.random(DType.F32, tokens * outs, 1);
            layers.add(new GradientBounds.Layer(gradient, weight, Numbers.absolute(weight), outs, r));
            tensors.add(new LinearOutput(rig.activation(gradient, tokens, outs), rig.weight(dtype, weight, outs, in)));
            Rig.Guarded result = rig.guarded(tokens, in);
            gradients.linears(tensors, result.rows());
            String what = "the backward of " + tensors.size() + " layers";
            GradientBounds.linears(layers, in).check(what, result.numbers(what));
        }
    }

    static Stream<Arguments> quantizedLinears() {
        List<int[]> sizes = List.of(
                new int[] {1, 1}, new int[] {1, 129}, new int[] {7, 33}, new int[] {129, 13}, new int[] {13, 129});
        return QuantizedWeightsTopic.formats().stream()
                .flatMap(format -> sizes.stream().map(size -> Arguments.of(format, size[0], size[1])));
    }

    @ParameterizedTest(name = "{0}, {1} tokens, {2} outputs")
    @MethodSource("quantizedLinears")
    void linearBackwardThroughQuantizedWeights(BlockFormat.Grouped format, int tokens, int outputs) {
        assumeTrue(
                subject.supports(Capability.QUANTIZED_WEIGHTS), "skipped: the backend does not take quantised weights");
        for (int groups : new int[] {1, 3}) {
            check(format, tokens, outputs, groups * Math.max(format.group(), 32));
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {2, 6, 10, 48, 96, 130, 300})
    void linearBackwardThroughUnusualGroups(int group) {
        assumeTrue(
                subject.supports(Capability.QUANTIZED_WEIGHTS), "skipped: the backend does not take quantised weights");
        for (int bits : new int[] {4, 8}) {
            check(new BlockFormat.Grouped(bits, group, bits == 4, DType.F16), 13, 70, group * Math.max(1, 300 / group));
        }
    }

    /** A quantised layer, and a dense one that reads the same input. */
    private void check(BlockFormat.Grouped format, int tokens, int outputs, int in) {
        double[] gradient = rig.random(DType.F32, tokens * outputs, 1);
        double[] dense = rig.random(DType.BF16, 7 * in, 1);
        double[] second = rig.random(DType.F32, tokens * 7, 1);
        QuantizedNumbers weight = QuantizedNumbers.of(new QuantizedSpec(format, outputs, in), rig.random);
        LinearOutput first = new LinearOutput(
                rig.activation(gradient, tokens, outputs), rig.closing(device.adopt(weight.matrix(rig.arena))));
        LinearOutput other = new LinearOutput(rig.activation(second, tokens, 7), rig.weight(DType.BF16, dense, 7, in));
        GradientBounds.Layer layer = new GradientBounds.Layer(gradient, weight.values(), weight.sizes(), outputs, 0);
        Rig.Guarded result = rig.guarded(tokens, in);
        gradients.linears(List.of(first), result.rows());
        GradientBounds.linears(List.of(layer), in).check("quantised", result.numbers("quantised"));
        double r = subject.operandRounding().applyAsDouble(DType.BF16);
        gradients.linears(List.of(first, other), result.rows());
        GradientBounds.linears(
                        List.of(layer, new GradientBounds.Layer(second, dense, Numbers.absolute(dense), 7, r)), in)
                .check("quantised and dense", result.numbers("quantised and dense"));
    }

    /** More rows than one pass over the weights may take. */
    @Test
    void linearBackwardOfManyRows() {
        int tokens = 2000;
        double[] weight = rig.random(DType.F32, 9 * 40, 1);
        double[] gradient = rig.random(DType.F32, tokens * 9, 1);
        Rig.Guarded result = rig.guarded(tokens, 40);
        gradients.linears(
                List.of(new LinearOutput(rig.activation(gradient, tokens, 9), rig.weight(DType.F32, weight, 9, 40))),
                result.rows());
        double r = subject.operandRounding().applyAsDouble(DType.F32);
        GradientBounds.linears(List.of(new GradientBounds.Layer(gradient, weight, Numbers.absolute(weight), 9, r)), 40)
                .check("many rows", result.numbers("many rows"));
    }

    @ParameterizedTest
    @MethodSource("org.duoattention.tck.DenseTopic#typesTokensWidths")
    void rmsNormBackward(DType dtype, int tokens, int width) {
        normed(dtype, tokens, width, width, 3);
    }

    @ParameterizedTest
    @MethodSource("org.duoattention.tck.DenseTopic#typesGroupsHeads")
    void rmsNormBackwardOfEachHead(DType dtype, int group, int heads) {
        normed(dtype, 7, heads * group, group, 3);
    }

    private void normed(DType dtype, int tokens, int width, int group, double size) {
        double[] x = rig.random(DType.F32, tokens * width, size);
        double[] weight = rig.random(dtype, group, 2);
        double[] gradient = rig.random(DType.F32, tokens * width, 1);
        Expected expected = GradientBounds.rmsNorm(x, weight, 1e-5f, gradient);
        Rig.Guarded out = rig.guarded(tokens, width);
        Rig.Guarded from = rig.guarded(gradient, tokens, width);
        Tensor input = rig.activation(x, tokens, width);
        Tensor scale = rig.weight(dtype, weight, group);
        gradients.rmsNorm(input, scale, 1e-5f, from.rows(), out.rows());
        expected.check("rmsNorm", out.numbers("rmsNorm"));
        assertThat(from.numbers("the gradient")).as("the gradient is read only").isEqualTo(gradient);
        gradients.rmsNorm(input, scale, 1e-5f, from.rows(), from.rows());
        expected.check("rmsNorm in place", from.numbers("rmsNorm in place"));
    }

    @Test
    void rmsNormBackwardOfZerosAndOfLargeNumbers() {
        normed(DType.F32, 3, 128, 128, 0);
        normed(DType.F32, 3, 128, 128, 1e4);
        normed(DType.F32, 3, 128, 128, 1e-4);
    }

    @ParameterizedTest(name = "head dim {0}, {1} pairs, {2} heads, factor {3}, position {4}")
    @MethodSource("org.duoattention.tck.DenseTopic#ropes")
    void ropeBackward(int headDim, int pairs, int heads, double factor, long position) {
        Rope rope = DenseTopic.rope(pairs, factor);
        for (int tokens : new int[] {1, 7, 13}) {
            double[] gradient = rig.random(DType.F32, tokens * heads * headDim, 2);
            Rig.Guarded target = rig.guarded(gradient, tokens, heads * headDim);
            gradients.rope(target.rows(), headDim, rope, position);
            GradientBounds.rope(gradient, heads * headDim, headDim, rope, position)
                    .check("rope of " + tokens + " tokens", target.numbers("rope"));
        }
    }

    /** Two rotations in turn, forwards and backwards: none is taken for another. */
    @Test
    void ropeBackwardUndoesRope() {
        Rope plain = DenseTopic.rope(8, 1);
        Rope scaled = DenseTopic.rope(8, 2);
        double[] x = rig.random(DType.F32, 7 * 16, 2);
        Rig.Guarded target = rig.guarded(x, 7, 16);
        rig.stream.rope(target.rows(), 16, plain, 5);
        gradients.rope(target.rows(), 16, scaled, 5);
        gradients.rope(target.rows(), 16, scaled, 9);
        rig.stream.rope(target.rows(), 16, plain, 9);
        double[] actual = target.numbers("rope");
        for (int i = 0; i < x.length; i++) {
            // Four rotations of two elements of at most 2 * 2, each rounded as the forward bound says.
            assertThat(Math.abs(actual[i] - 4 * x[i])).isLessThan(4 * 4 * 16 * ErrorBounds.U);
        }
    }

    @ParameterizedTest
    @MethodSource("org.duoattention.tck.DenseTopic#tokensWidths")
    void swiGluBackward(int tokens, int width) {
        double[] gate = rig.random(DType.F32, tokens * width, 8);
        double[] up = rig.random(DType.F32, tokens * width, 2);
        double[] gradient = rig.random(DType.F32, tokens * width, 1);
        Expected ofGate = GradientBounds.swiGluGate(gate, up, gradient);
        Expected ofUp = GradientBounds.swiGluUp(gate, gradient);
        Rig.Guarded g = rig.guarded(gate, tokens, width);
        Rig.Guarded u = rig.guarded(up, tokens, width);
        Rig.Guarded d = rig.guarded(gradient, tokens, width);
        Rig.Guarded toGate = rig.guarded(tokens, width);
        Rig.Guarded toUp = rig.guarded(tokens, width);
        gradients.swiGlu(g.rows(), u.rows(), d.rows(), toGate.rows(), toUp.rows());
        ofGate.check("gate", toGate.numbers("gate"));
        ofUp.check("up", toUp.numbers("up"));
        gradients.swiGlu(g.rows(), u.rows(), d.rows(), d.rows(), u.rows());
        ofGate.check("gate into gradient", d.numbers("gate into gradient"));
        ofUp.check("up in place", u.numbers("up in place"));
        gradients.swiGlu(
                g.rows(),
                rig.activation(up, tokens, width),
                rig.activation(gradient, tokens, width),
                g.rows(),
                toUp.rows());
        ofGate.check("gate in place", g.numbers("gate in place"));
        ofUp.check("up", toUp.numbers("up"));
    }

    @Test
    void swiGluBackwardOfExtremes() {
        double[] gate = {0, -0.0, 1e-30f, -1e-30f, 20, -20, 87, -87, 89, -89, 104, -104, 1e4, -1e4, 1e30f, -1e30f};
        double[] up = new double[gate.length];
        Arrays.fill(up, 1.5);
        Rig.Guarded toGate = rig.guarded(1, gate.length);
        Rig.Guarded toUp = rig.guarded(1, gate.length);
        Tensor rows = rig.activation(up, 1, gate.length);
        gradients.swiGlu(rig.activation(gate, 1, gate.length), rows, rows, toGate.rows(), toUp.rows());
        GradientBounds.swiGluGate(gate, up, up).check("gate", toGate.numbers("gate"));
        GradientBounds.swiGluUp(gate, up).check("up", toUp.numbers("up"));
    }

    @ParameterizedTest(name = "{0} tokens, {1} gates of {2}")
    @CsvSource({"1,1,1", "7,2,13", "13,3,8", "127,2,64", "129,8,16", "129,1,129", "200,2,7"})
    void blendForwardAndBackward(int tokens, int heads, int headWidth) {
        int width = heads * headWidth;
        double[] full = rig.random(DType.F32, tokens * width, 2);
        double[] streaming = rig.random(DType.F32, tokens * width, 2);
        double[] gradient = rig.random(DType.F32, tokens * width, 1);
        float[] gates = new float[heads];
        for (int h = 0; h < heads; h++) {
            gates[h] = h == 1 ? 1 : h == 2 ? 0 : (float) rig.random.nextDouble();
        }
        Rig.Guarded f = rig.guarded(full, tokens, width);
        Rig.Guarded s = rig.guarded(streaming, tokens, width);
        Rig.Guarded d = rig.guarded(gradient, tokens, width);
        Rig.Guarded out = rig.guarded(tokens, width);
        Rig.Guarded sums = rig.guarded(1, heads);
        float[] passed = gates.clone();
        gradients.blend(f.rows(), s.rows(), passed, out.rows());
        Arrays.fill(passed, 7);
        Expected blend = GradientBounds.blend(full, streaming, width, gates);
        blend.check("blend", out.numbers("blend"));

        Expected ofStreaming = GradientBounds.blendStreaming(width, gates, gradient);
        Expected ofGates = GradientBounds.blendGates(full, streaming, width, heads, gradient);
        passed = gates.clone();
        gradients.blendBackward(f.rows(), s.rows(), passed, d.rows(), out.rows(), sums.rows());
        Arrays.fill(passed, 7);
        ofStreaming.check("streaming", out.numbers("streaming"));
        ofGates.check("gates", sums.numbers("gates"));
        gradients.blendBackward(f.rows(), s.rows(), gates, d.rows(), d.rows(), sums.rows());
        ofStreaming.check("streaming in place", d.numbers("streaming in place"));
        ofGates.check("gates", sums.numbers("gates"));

        gradients.blend(f.rows(), rig.activation(streaming, tokens, width), gates, f.rows());
        blend.check("blend into full", f.numbers("blend into full"));
        gradients.blend(rig.activation(full, tokens, width), s.rows(), gates, s.rows());
        blend.check("blend into streaming", s.numbers("blend into streaming"));
    }

    @Test
    void backwardOperationsAreOrderedWithTheStream() {
        double[] x = rig.random(DType.F32, 13 * 16, 2);
        float[] gates = {0.5f};
        Rig.Guarded sum = rig.guarded(x, 13, 16);
        Tensor zeros = rig.zeros(DType.F32, 13, 16);
        for (int i = 0; i < 3; i++) {
            rig.stream.add(sum.rows(), rig.activation(x, 13, 16));
            gradients.blend(sum.rows(), zeros, gates, sum.rows());
        }
        double[] expected = x.clone();
        ErrorBounds.add(expected, new double[x.length]).check("the sum", sum.numbers("the sum"));
    }

    @Test
    void sameInputsGiveTheSameGradients() {
        double[] x = rig.random(DType.F32, 129 * 128, 1);
        double[] weight = rig.random(DType.BF16, 128 * 128, 1);
        double[][] results = new double[2][];
        for (int i = 0; i < 2; i++) {
            Rig.Guarded out = rig.guarded(129, 128);
            Tensor rows = rig.activation(x, 129, 128);
            Tensor other = rig.activation(x, 129, 128);
            gradients.rmsNorm(rows, rig.weight(DType.F32, Arrays.copyOf(x, 128), 128), 1e-5f, other, other);
            gradients.rope(other, 64, DenseTopic.rope(32, 1), 77);
            gradients.linears(List.of(new LinearOutput(other, rig.weight(DType.BF16, weight, 128, 128))), out.rows());
            gradients.swiGlu(out.rows(), rows, other, other, rows);
            Tensor sums = rig.zeros(DType.F32, 1, 2);
            gradients.blendBackward(out.rows(), rows, new float[] {0.25f, 0.75f}, other, other, sums);
            double[] parts = OracleMath.add(rig.download(other), out.numbers("the same twice"));
            results[i] = Arrays.copyOf(parts, parts.length + 2);
            System.arraycopy(rig.download(sums), 0, results[i], parts.length, 2);
        }
        assertThat(results[1]).isEqualTo(results[0]);
    }
}
