package org.duoattention.tck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.Projection;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.api.tensor.QuantizedSpec;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Quantised weights: adoption, linear layers and embeddings against the values that the codes stand for. */
abstract class QuantizedWeightsTopic extends BackendTopic {
    @BeforeEach
    void needsQuantizedWeights() {
        assumeTrue(
                subject.supports(Capability.QUANTIZED_WEIGHTS), "skipped: the backend does not take quantised weights");
    }

    static List<BlockFormat.Grouped> formats() {
        return Stream.of(4, 8)
                .flatMap(bits -> Stream.of(16, 32, 64, 128)
                        .flatMap(group -> Stream.of(false, true)
                                .flatMap(asymmetric -> Stream.of(DType.F16, DType.F32)
                                        .map(scale -> new BlockFormat.Grouped(bits, group, asymmetric, scale)))))
                .toList();
    }

    static Stream<Arguments> linears() {
        int[][] one = {{1, 1}, {1, 7}, {1, 129}};
        int[][][] several = {{{7, 33}, {129, 64}}, {{13, 127}, {127, 13}}};
        List<Arguments> linears = new ArrayList<>();
        for (BlockFormat.Grouped format : formats()) {
            // Several tokens take turns: what differs in the type of its scales only has all sizes together.
            int turn = Integer.numberOfTrailingZeros(format.group())
                    + (format.asymmetric() ? 1 : 0)
                    + (format.scaleType() == DType.F16 ? 1 : 0);
            for (int[] size : one) {
                linears.add(Arguments.of(format, size[0], size[1]));
            }
            for (int[] size : several[turn % 2]) {
                linears.add(Arguments.of(format, size[0], size[1]));
            }
        }
        return linears.stream();
    }

    private QuantizedNumbers numbers(BlockFormat.Grouped format, int rows, int columns) {
        return QuantizedNumbers.of(new QuantizedSpec(format, rows, columns), rig.random);
    }

    private Tensor adopted(QuantizedNumbers numbers) {
        return rig.closing(device.adopt(numbers.matrix(rig.arena)));
    }

    private Expected expected(double[] x, QuantizedNumbers weight, double[] bias) {
        int in = (int) weight.spec().columns();
        int outputs = (int) weight.spec().rows();
        return ErrorBounds.quantizedLinear(
                x, weight.values(), weight.sizes(), bias, in, outputs, subject.activationGroup());
    }

    @ParameterizedTest(name = "{0}, {1} tokens, {2} outputs")
    @MethodSource("linears")
    void linear(BlockFormat.Grouped format, int tokens, int outputs) {
        for (int groups : new int[] {1, 3}) {
            int in = groups * Math.max(format.group(), 32);
            double[] x = rig.random(DType.F32, tokens * in, 1);
            double[] bias = rig.random(DType.F32, outputs, 1);
            QuantizedNumbers weight = numbers(format, outputs, in);
            Tensor tensor = adopted(weight);
            Rig.Guarded plain = rig.guarded(tokens, outputs);
            Rig.Guarded biased = rig.guarded(tokens, outputs);
            Tensor input = rig.activation(x, tokens, in);
            rig.stream.linear(input, new Projection(tensor, Optional.empty(), plain.rows()));
            rig.stream.linear(
                    input, new Projection(tensor, Optional.of(rig.weight(DType.F32, bias, outputs)), biased.rows()));
            expected(x, weight, new double[0]).check("linear", plain.numbers("linear"));
            expected(x, weight, bias).check("linear with bias", biased.numbers("linear + bias"));
        }
    }

    @Test
    void inputsOfVeryDifferentSizes() {
        for (BlockFormat.Grouped format : formats()) {
            for (int tokens : new int[] {1, 13}) {
                int in = 256;
                double[] x = rig.random(DType.F32, tokens * in, 1);
                for (int i = 0; i < x.length; i++) {
                    x[i] = i % 96 < 32 ? 0 : (float) (x[i] * Math.pow(10, i / 32 % 7 - 3));
                }
                QuantizedNumbers weight = numbers(format, 17, in);
                Rig.Guarded out = rig.guarded(tokens, 17);
                rig.stream.linear(
                        rig.activation(x, tokens, in), new Projection(adopted(weight), Optional.empty(), out.rows()));
                expected(x, weight, new double[0]).check("linear " + format, out.numbers("linear"));
            }
        }
    }

    @ParameterizedTest
    @MethodSource("formats")
    void embed(BlockFormat.Grouped format) {
        int width = 2 * format.group();
        QuantizedNumbers table = numbers(format, 31, width);
        int[] ids = {30, 0, 7, 7, 13};
        Rig.Guarded out = rig.guarded(ids.length, width);
        rig.stream.embed(adopted(table), ids, out.rows());
        double[] values = OracleMath.embed(table.values(), width, ids);
        double[] sizes = OracleMath.embed(table.sizes(), width, ids);
        double[] bounds =
                Arrays.stream(sizes).map(size -> 4 * ErrorBounds.U * size).toArray();
        new Expected(values, bounds).check("embed", out.numbers("embed"));
    }

    @Test
    void linearsOfSeveralFormatsShareTheirInput() {
        int in = 256;
        for (int tokens : new int[] {1, 7, 33}) {
            double[] x = rig.random(DType.F32, tokens * in, 1);
            double[] dense = rig.random(DType.F16, 40 * in, 1);
            QuantizedNumbers four = numbers(new BlockFormat.Grouped(4, 32, false, DType.F16), 70, in);
            QuantizedNumbers eight = numbers(new BlockFormat.Grouped(8, 128, true, DType.F16), 33, in);
            Rig.Guarded[] outs = IntStream.of(70, 40, 33)
                    .mapToObj(width -> rig.guarded(tokens, width))
                    .toArray(Rig.Guarded[]::new);
            rig.stream.linears(
                    rig.activation(x, tokens, in),
                    List.of(
                            new Projection(adopted(four), Optional.empty(), outs[0].rows()),
                            new Projection(rig.weight(DType.F16, dense, 40, in), Optional.empty(), outs[1].rows()),
                            new Projection(adopted(eight), Optional.empty(), outs[2].rows())));
            expected(x, four, new double[0]).check("the first", outs[0].numbers("the first"));
            ErrorBounds.linear(
                            x,
                            dense,
                            new double[0],
                            in,
                            40,
                            subject.operandRounding().applyAsDouble(DType.F16))
                    .check("the second", outs[1].numbers("the second"));
            expected(x, eight, new double[0]).check("the third", outs[2].numbers("the third"));
        }
    }

    @ParameterizedTest
    @MethodSource("formats")
    void bytesAreWhatIsAllocatedAndTheSourceIsNotNeededAfterwards(BlockFormat.Grouped format) {
        QuantizedNumbers numbers = numbers(format, 33, 256);
        double[] x = rig.random(DType.F32, 256, 1);
        Tensor input = rig.activation(x, 1, 256);
        Rig.Guarded out = rig.guarded(1, 33);
        long before = device.allocatedBytes();
        Tensor tensor;
        try (Arena arena = Arena.ofShared()) {
            tensor = device.adopt(numbers.matrix(arena));
        }
        try (tensor) {
            assertThat(device.bytes(numbers.spec()))
                    .isGreaterThanOrEqualTo(numbers.spec().codeBytes());
            assertThat(device.allocatedBytes() - before).isEqualTo(device.bytes(numbers.spec()));
            assertThat(tensor.format()).isEqualTo(format);
            assertThat(tensor.spec().shape()).containsExactly(33L, 256L);
            assertThat(tensor.spec().dtype()).isEqualTo(DType.F32);
            rig.stream.linear(input, new Projection(tensor, Optional.empty(), out.rows()));
            expected(x, numbers, new double[0]).check("after the source is gone", out.numbers("linear"));
        }
        assertThat(device.allocatedBytes()).isEqualTo(before);
    }

    @Test
    void scalesAndOffsetsThatAreNotFiniteAreRefused() {
        for (BlockFormat.Grouped format : formats()) {
            for (double bad : new double[] {Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY}) {
                for (boolean inOffsets : format.asymmetric() ? new boolean[] {false, true} : new boolean[] {false}) {
                    QuantizedMatrix good =
                            numbers(format, 3, 2 * format.group()).matrix(rig.arena);
                    MemorySegment part = rig.arena.allocate((inOffsets ? good.offsets() : good.scales()).byteSize());
                    part.copyFrom(inOffsets ? good.offsets() : good.scales());
                    HostNumbers.set(format.scaleType(), part, 5, bad);
                    QuantizedMatrix matrix = new QuantizedMatrix(
                            good.spec(),
                            good.codes(),
                            inOffsets ? good.scales() : part,
                            inOffsets ? part : good.offsets());
                    assertThatThrownBy(() -> rig.closing(device.adopt(matrix)))
                            .as("%s in %s", bad, format)
                            .isInstanceOf(IllegalArgumentException.class);
                }
            }
        }
    }

    @Test
    void aQuantizedTensorIsNoOtherOperand() {
        BlockFormat.Grouped format = new BlockFormat.Grouped(8, 32, false, DType.F32);
        Tensor weight = adopted(numbers(format, 32, 32));
        Tensor rows = rig.zeros(DType.F32, 32, 32);
        Tensor other = rig.zeros(DType.F32, 32, 32);
        MemorySegment host = rig.arena.allocate(weight.spec().byteSize());
        assertThatThrownBy(() -> weight.rows(0, 1)).isInstanceOf(UnsupportedOperationException.class);
        assertThatThrownBy(() -> rig.stream.upload(host, weight)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> rig.stream.download(weight, host)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> rig.stream.add(rows, weight)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> rig.stream.add(weight, rows)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> rig.stream.swiGlu(weight, rows, other)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> rig.stream.linear(weight, new Projection(rows, Optional.empty(), other)))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> rig.stream.linear(rows, new Projection(rows, Optional.empty(), weight)))
                .isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void aClosedWeightIsRefused() {
        Tensor weight = device.adopt(
                numbers(new BlockFormat.Grouped(4, 32, false, DType.F16), 8, 32).matrix(rig.arena));
        weight.close();
        weight.close();
        Tensor x = rig.zeros(DType.F32, 1, 32);
        Tensor out = rig.zeros(DType.F32, 1, 8);
        assertThatThrownBy(() -> rig.stream.linear(x, new Projection(weight, Optional.empty(), out)))
                .isInstanceOf(IllegalStateException.class);
    }
}
