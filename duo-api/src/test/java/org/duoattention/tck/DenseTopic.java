package org.duoattention.tck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.duoattention.api.backend.Projection;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.DType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The operations of a decoder outside attention, against {@link OracleMath}. */
abstract class DenseTopic extends BackendTopic {
    private static final List<DType> TYPES = List.of(DType.F32, DType.F16, DType.BF16);
    private static final List<Integer> SIZES = List.of(1, 7, 13, 127, 129);

    static Stream<Arguments> typesTokensWidths() {
        return TYPES.stream()
                .flatMap(dtype -> SIZES.stream()
                        .flatMap(tokens -> SIZES.stream().map(width -> Arguments.of(dtype, tokens, width))));
    }

    @ParameterizedTest
    @MethodSource("typesTokensWidths")
    void embed(DType dtype, int tokens, int width) {
        int vocabulary = 31;
        double[] table = rig.random(dtype, vocabulary * width, 1);
        int[] ids =
                IntStream.range(0, tokens).map(t -> (t * 17 + 30) % vocabulary).toArray();
        Rig.Guarded out = rig.guarded(tokens, width);
        int[] passed = ids.clone();
        rig.stream.embed(rig.weight(dtype, table, vocabulary, width), passed, out.rows());
        Arrays.fill(passed, 0);
        Expected.exactly(OracleMath.embed(table, width, ids)).check("embed", out.numbers("embed"));
    }

    @ParameterizedTest
    @ValueSource(ints = {-1, 31, Integer.MIN_VALUE, Integer.MAX_VALUE})
    void idsOutOfRangeAreRefused(int id) {
        Tensor table = rig.weight(DType.F32, new double[31 * 7], 31, 7);
        Rig.Guarded out = rig.guarded(3, 7);
        assertThatThrownBy(() -> rig.stream.embed(table, new int[] {0, 30, id}, out.rows()))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining(Integer.toString(id));
        assertThat(out.numbers("a refused embed")).containsOnly(Rig.SENTINEL);
    }

    @ParameterizedTest
    @MethodSource("typesTokensWidths")
    void rmsNorm(DType dtype, int tokens, int width) {
        double[] x = rig.random(DType.F32, tokens * width, 3);
        double[] weight = rig.random(dtype, width, 2);
        Rig.Guarded out = rig.guarded(tokens, width);
        rig.stream.rmsNorm(rig.activation(x, tokens, width), rig.weight(dtype, weight, width), 1e-5f, out.rows());
        ErrorBounds.rmsNorm(x, weight, 1e-5f).check("rmsNorm", out.numbers("rmsNorm"));
    }

    static Stream<Arguments> typesGroupsHeads() {
        return TYPES.stream()
                .flatMap(dtype -> Stream.of(8, 13, 64, 128)
                        .flatMap(group -> Stream.of(1, 3).map(heads -> Arguments.of(dtype, group, heads))));
    }

    @ParameterizedTest
    @MethodSource("typesGroupsHeads")
    void rmsNormOfEachHeadInPlace(DType dtype, int group, int heads) {
        int tokens = 7;
        double[] x = rig.random(DType.F32, tokens * heads * group, 3);
        double[] weight = rig.random(dtype, group, 2);
        Rig.Guarded target = rig.guarded(x, tokens, heads * group);
        rig.stream.rmsNorm(target.rows(), rig.weight(dtype, weight, group), 1e-6f, target.rows());
        ErrorBounds.rmsNorm(x, weight, 1e-6f).check("rmsNorm in place", target.numbers("rmsNorm in place"));
    }

    @Test
    void rmsNormOfZerosAndOfLargeNumbers() {
        double[] x = new double[3 * 128];
        Arrays.fill(x, 128, 256, 1e4);
        Arrays.fill(x, 256, 384, 1e-4);
        double[] weight = rig.random(DType.F32, 128, 2);
        Rig.Guarded out = rig.guarded(3, 128);
        rig.stream.rmsNorm(rig.activation(x, 3, 128), rig.weight(DType.F32, weight, 128), 1e-5f, out.rows());
        ErrorBounds.rmsNorm(x, weight, 1e-5f).check("rmsNorm", out.numbers("rmsNorm"));
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
                        .flatMap(tokens -> widths.stream().map(w -> Arguments.of(dtype, tokens, w[0], w[1]))));
    }

    @ParameterizedTest(name = "{0} {1} tokens {2} -> {3}")
    @MethodSource("linears")
    void linear(DType dtype, int tokens, int in, int outputs) {
        double[] x = rig.random(DType.F32, tokens * in, 1);
        double[] weight = rig.random(dtype, outputs * in, 1);
        double[] bias = rig.random(dtype, outputs, 1);
        Tensor input = rig.activation(x, tokens, in);
        Tensor adopted = rig.weight(dtype, weight, outputs, in);
        Rig.Guarded plain = rig.guarded(tokens, outputs);
        Rig.Guarded biased = rig.guarded(tokens, outputs);
        rig.stream.linear(input, new Projection(adopted, Optional.empty(), plain.rows()));
        rig.stream.linear(input, new Projection(adopted, Optional.of(rig.weight(dtype, bias, outputs)), biased.rows()));
        double r = subject.operandRounding().applyAsDouble(dtype);
        ErrorBounds.linear(x, weight, new double[0], in, outputs, r).check("linear", plain.numbers("linear"));
        ErrorBounds.linear(x, weight, bias, in, outputs, r).check("linear with bias", biased.numbers("linear + bias"));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 13})
    void linearWithUploadedWeightsAndRowViews(int tokens) {
        double[] x = rig.random(DType.F32, tokens * 64, 1);
        for (DType dtype : TYPES) {
            double[] weight = rig.random(dtype, 9 * 64, 1);
            double[] part = Arrays.copyOfRange(weight, 3 * 64, 7 * 64);
            Tensor table = rig.tensor(dtype, weight, 9, 64);
            Rig.Guarded out = rig.guarded(tokens, 4);
            rig.stream.linear(
                    rig.guarded(x, tokens, 64).rows(), new Projection(table.rows(3, 4), Optional.empty(), out.rows()));
            ErrorBounds.linear(
                            x,
                            part,
                            new double[0],
                            64,
                            4,
                            subject.operandRounding().applyAsDouble(dtype))
                    .check("linear by rows of a " + dtype + " table", out.numbers("linear"));
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 7, 129})
    void linearsShareTheirInput(int tokens) {
        int in = 64;
        int[] outputs = {13, 128, 32};
        double[] x = rig.random(DType.F32, tokens * in, 1);
        for (DType dtype : TYPES) {
            double[][] weights = new double[3][];
            double[] bias = rig.random(dtype, outputs[1], 1);
            Rig.Guarded[] outs = new Rig.Guarded[3];
            Projection[] projections = new Projection[3];
            for (int i = 0; i < 3; i++) {
                weights[i] = rig.random(dtype, outputs[i] * in, 1);
                outs[i] = rig.guarded(tokens, outputs[i]);
                projections[i] = new Projection(
                        rig.weight(dtype, weights[i], outputs[i], in),
                        i == 1 ? Optional.of(rig.weight(dtype, bias, outputs[1])) : Optional.empty(),
                        outs[i].rows());
            }
            rig.stream.linears(rig.activation(x, tokens, in), List.of(projections));
            double r = subject.operandRounding().applyAsDouble(dtype);
            for (int i = 0; i < 3; i++) {
                String what = "linears, " + dtype + " projection " + i;
                ErrorBounds.linear(x, weights[i], i == 1 ? bias : new double[0], in, outputs[i], r)
                        .check(what, outs[i].numbers(what));
            }
        }
    }

    static Stream<Arguments> ropes() {
        return Stream.of(0L, 1L, 4095L, 1_000_003L, 5_000_000_123L)
                .flatMap(position -> Stream.of(
                        Arguments.of(8, 4, 3, 1.0, position),
                        Arguments.of(13, 6, 2, 1.0, position),
                        Arguments.of(64, 32, 4, 1.0, position),
                        Arguments.of(64, 16, 1, 1.0, position),
                        Arguments.of(128, 64, 2, 1.25, position)));
    }

    @ParameterizedTest(name = "head dim {0}, {1} pairs, {2} heads, factor {3}, position {4}")
    @MethodSource("ropes")
    void rope(int headDim, int pairs, int heads, double factor, long position) {
        Rope rope = rope(pairs, factor);
        for (int tokens : new int[] {1, 7, 13}) {
            double[] x = rig.random(DType.F32, tokens * heads * headDim, 2);
            Rig.Guarded target = rig.guarded(x, tokens, heads * headDim);
            rig.stream.rope(target.rows(), headDim, rope, position);
            ErrorBounds.rope(x, heads * headDim, headDim, rope, position)
                    .check("rope of " + tokens + " tokens", target.numbers("rope"));
        }
    }

    /** The frequencies of an unscaled rotation with base 500000. */
    static Rope rope(int pairs, double factor) {
        double[] frequencies = new double[pairs];
        for (int i = 0; i < pairs; i++) {
            frequencies[i] = Math.pow(500_000, -(double) i / pairs);
        }
        return new Rope(frequencies, factor);
    }

    static Stream<Arguments> tokensWidths() {
        return SIZES.stream().flatMap(tokens -> SIZES.stream().map(width -> Arguments.of(tokens, width)));
    }

    @ParameterizedTest
    @MethodSource("tokensWidths")
    void swiGlu(int tokens, int width) {
        double[] gate = rig.random(DType.F32, tokens * width, 8);
        double[] up = rig.random(DType.F32, tokens * width, 2);
        Expected expected = ErrorBounds.swiGlu(gate, up);
        Rig.Guarded out = rig.guarded(tokens, width);
        Rig.Guarded a = rig.guarded(gate, tokens, width);
        Rig.Guarded b = rig.guarded(up, tokens, width);
        rig.stream.swiGlu(a.rows(), b.rows(), out.rows());
        expected.check("swiGlu", out.numbers("swiGlu"));
        rig.stream.swiGlu(a.rows(), rig.activation(up, tokens, width), a.rows());
        expected.check("swiGlu into gate", a.numbers("swiGlu into gate"));
        rig.stream.swiGlu(rig.activation(gate, tokens, width), b.rows(), b.rows());
        expected.check("swiGlu into up", b.numbers("swiGlu into up"));
    }

    @Test
    void swiGluOfExtremes() {
        double[] gate = {0, -0.0, 1e-30f, -1e-30f, 20, -20, 87, -87, 89, -89, 104, -104, 1e4, -1e4, 1e30f, -1e30f};
        double[] up = new double[gate.length];
        Arrays.fill(up, 1.5);
        Rig.Guarded out = rig.guarded(1, gate.length);
        rig.stream.swiGlu(rig.activation(gate, 1, gate.length), rig.activation(up, 1, gate.length), out.rows());
        ErrorBounds.swiGlu(gate, up).check("swiGlu", out.numbers("swiGlu"));
    }

    @ParameterizedTest
    @MethodSource("tokensWidths")
    void add(int tokens, int width) {
        double[] target = rig.random(DType.F32, tokens * width, 8);
        double[] x = rig.random(DType.F32, tokens * width, 2);
        Rig.Guarded sum = rig.guarded(target, tokens, width);
        Tensor addend = rig.activation(x, tokens, width);
        rig.stream.add(sum.rows(), addend);
        ErrorBounds.add(target, x).check("add", sum.numbers("add"));
        assertThat(rig.download(addend)).as("the addend").isEqualTo(x);
    }

    @ParameterizedTest
    @MethodSource("typesTokensWidths")
    void addRmsNorm(DType dtype, int tokens, int width) {
        double[] target = rig.random(DType.F32, tokens * width, 3);
        double[] x = rig.random(DType.F32, tokens * width, 3);
        double[] weight = rig.random(dtype, width, 2);
        Rig.Guarded sum = rig.guarded(target, tokens, width);
        Rig.Guarded out = rig.guarded(tokens, width);
        rig.stream.addRmsNorm(
                sum.rows(), rig.activation(x, tokens, width), rig.weight(dtype, weight, width), 1e-5f, out.rows());
        ErrorBounds.add(target, x).check("the sum of addRmsNorm", sum.numbers("addRmsNorm"));
        ErrorBounds.addRmsNorm(target, x, weight, 1e-5f).check("addRmsNorm", out.numbers("addRmsNorm"));
    }

    @Test
    void sameInputsGiveTheSameBits() {
        double[] x = rig.random(DType.F32, 129 * 128, 1);
        double[] weight = rig.random(DType.BF16, 127 * 128, 1);
        double[][] results = new double[2][];
        for (int i = 0; i < 2; i++) {
            Rig.Guarded out = rig.guarded(129, 127);
            Tensor normed = rig.activation(x, 129, 128);
            rig.stream.rmsNorm(normed, rig.weight(DType.F32, Arrays.copyOf(x, 128), 128), 1e-5f, normed);
            rig.stream.rope(normed, 64, rope(32, 1), 77);
            rig.stream.linear(
                    normed, new Projection(rig.weight(DType.BF16, weight, 127, 128), Optional.empty(), out.rows()));
            rig.stream.swiGlu(out.rows(), out.rows(), out.rows());
            results[i] = out.numbers("the same twice");
        }
        assertThat(results[1]).isEqualTo(results[0]);
    }

    @Test
    void shapesThatDoNotFitAreRefused() {
        Tensor x = rig.zeros(DType.F32, 4, 8);
        Tensor wide = rig.zeros(DType.F32, 4, 9);
        Tensor tall = rig.zeros(DType.F32, 5, 8);
        Tensor flat = rig.zeros(DType.F32, 32);
        Tensor half = rig.zeros(DType.F16, 4, 8);
        Tensor out = rig.zeros(DType.F32, 4, 8);
        Tensor weight = rig.zeros(DType.F16, 8, 8);
        Tensor norm = rig.zeros(DType.F16, 8);
        Tensor bad = rig.zeros(DType.F16, 3);
        Map<String, ThrowingCallable> calls = new LinkedHashMap<>();
        calls.put("embed, too few rows", () -> rig.stream.embed(weight, new int[3], out));
        calls.put("embed, too wide", () -> rig.stream.embed(weight, new int[4], wide));
        calls.put("embed, half out", () -> rig.stream.embed(weight, new int[4], half));
        calls.put("embed, flat table", () -> rig.stream.embed(norm, new int[4], out));
        calls.put("rmsNorm, group", () -> rig.stream.rmsNorm(x, bad, 1e-5f, out));
        calls.put("rmsNorm, out", () -> rig.stream.rmsNorm(x, norm, 1e-5f, tall));
        calls.put("rmsNorm, half x", () -> rig.stream.rmsNorm(half, norm, 1e-5f, out));
        calls.put("linear, in", () -> rig.stream.linear(wide, new Projection(weight, Optional.empty(), out)));
        calls.put("linear, out", () -> rig.stream.linear(x, new Projection(weight, Optional.empty(), wide)));
        calls.put("linear, rows", () -> rig.stream.linear(x, new Projection(weight, Optional.empty(), tall)));
        calls.put("linear, bias", () -> rig.stream.linear(x, new Projection(weight, Optional.of(bad), out)));
        calls.put("linear, half x", () -> rig.stream.linear(half, new Projection(weight, Optional.empty(), out)));
        calls.put("linear, flat weight", () -> rig.stream.linear(x, new Projection(norm, Optional.empty(), out)));
        calls.put("linears", () -> rig.stream.linears(x, List.of(new Projection(weight, Optional.empty(), wide))));
        calls.put("rope, heads", () -> rig.stream.rope(x, 3, rope(1, 1), 0));
        calls.put("rope, pairs", () -> rig.stream.rope(x, 4, rope(3, 1), 0));
        calls.put("rope, half", () -> rig.stream.rope(half, 8, rope(4, 1), 0));
        calls.put("swiGlu, up", () -> rig.stream.swiGlu(x, wide, out));
        calls.put("swiGlu, out", () -> rig.stream.swiGlu(x, out, tall));
        calls.put("swiGlu, half", () -> rig.stream.swiGlu(half, half, out));
        calls.put("add, wide", () -> rig.stream.add(x, wide));
        calls.put("add, flat", () -> rig.stream.add(x, flat));
        calls.put("add, half", () -> rig.stream.add(x, half));
        calls.put("addRmsNorm", () -> rig.stream.addRmsNorm(x, tall, norm, 1e-5f, out));
        calls.forEach((name, call) -> assertThatThrownBy(call).as(name).isInstanceOf(IllegalArgumentException.class));
        rig.stream.synchronize();
    }
}
