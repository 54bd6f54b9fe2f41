package org.duoattention.tck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.DType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** The largest elements of rows, against {@link OracleMath#topK}. */
abstract class TopKTopic extends BackendTopic {
    /** Around the sizes of warps and blocks, and a vocabulary. */
    private static final List<Integer> WIDTHS = List.of(1, 7, 31, 32, 33, 1000, 1025, 2049, 5000, 128256);

    /** What a row looks like. */
    enum Row {
        /** All different, more or less. */
        RANDOM {
            @Override
            double at(int i, int width, SplittableRandom random) {
                return random.nextDouble() * 20 - 10;
            }
        },
        /** Seven numbers, zeros of both signs and infinities among them. */
        TIES {
            private static final double[] NUMBERS = {
                0, -0.0, 1.5, -1.5, 0x1p-149, Double.NEGATIVE_INFINITY, Double.POSITIVE_INFINITY
            };

            @Override
            double at(int i, int width, SplittableRandom random) {
                return NUMBERS[random.nextInt(random.nextInt(20) == 0 ? NUMBERS.length : NUMBERS.length - 1)];
            }
        },
        /** Nothing but equal numbers. */
        EQUAL {
            @Override
            double at(int i, int width, SplittableRandom random) {
                return random.nextBoolean() ? 0.0 : -0.0;
            }
        },
        /** The largest last. */
        RISING {
            @Override
            double at(int i, int width, SplittableRandom random) {
                return i - width / 2.0;
            }
        },
        /** The largest first. */
        FALLING {
            @Override
            double at(int i, int width, SplittableRandom random) {
                return width / 2.0 - i;
            }
        },
        /** A few that are no numbers, the last one too. */
        SOME_NAN {
            @Override
            double at(int i, int width, SplittableRandom random) {
                return i == width - 1 || random.nextInt(100) == 0 ? Double.NaN : TIES.at(i, width, random);
            }
        },
        /** No number. */
        ALL_NAN {
            @Override
            double at(int i, int width, SplittableRandom random) {
                return Double.NaN;
            }
        };

        abstract double at(int i, int width, SplittableRandom random);
    }

    static Stream<Arguments> widths() {
        return WIDTHS.stream()
                .flatMap(width -> IntStream.of(1, 2, 7, 50, 1000, width, ComputeStream.MAX_TOP_K)
                        .filter(k -> k <= Math.min(width, ComputeStream.MAX_TOP_K))
                        .distinct()
                        .filter(k -> width < 100_000 || k == 1 || k == 50 || k == ComputeStream.MAX_TOP_K)
                        .mapToObj(k -> Arguments.of(width, k)));
    }

    @ParameterizedTest(name = "{1} of {0}")
    @MethodSource("widths")
    void largestOfEachRow(int width, int k) {
        List<Row> rows = width < 100_000 ? List.of(Row.values()) : List.of(Row.RANDOM, Row.TIES);
        check(rows(rows, width), rows.size(), width, k);
    }

    @ParameterizedTest
    @EnumSource
    void everyKOfAShortRow(Row row) {
        for (int k = 1; k <= 33; k++) {
            check(rows(List.of(row), 33), 1, 33, k);
        }
    }

    @Test
    void manyRows() {
        int rows = 300;
        double[] x = rig.random(DType.F32, rows * 40, 3);
        check(x, rows, 40, 1);
        check(x, rows, 40, 5);
    }

    private double[] rows(List<Row> rows, int width) {
        double[] x = new double[rows.size() * width];
        for (int i = 0; i < x.length; i++) {
            x[i] = (float) rows.get(i / width).at(i % width, width, rig.random);
        }
        return x;
    }

    private void check(double[] x, int rows, int width, int k) {
        Tensor tensor = rig.guarded(x, rows, width).rows();
        Rig.HostTarget indices = rig.new HostTarget(4L * rows * k);
        Rig.HostTarget values = rig.new HostTarget(4L * rows * k);
        rig.stream.topK(tensor, k, indices.segment, values.segment);
        // What comes after does not change what was asked for.
        rig.stream.upload(rig.host(DType.F32, new double[x.length]), tensor);
        rig.stream.synchronize();
        indices.checkGuards("indices");
        values.checkGuards("values");
        for (int row = 0; row < rows; row++) {
            int[] expected = OracleMath.topK(x, row * width, width, k);
            int[] actual = new int[k];
            double[] numbers = new double[k];
            double[] expectedNumbers = new double[k];
            for (int rank = 0; rank < k; rank++) {
                actual[rank] = HostNumbers.getInt(indices.segment, (long) row * k + rank);
                numbers[rank] = HostNumbers.get(DType.F32, values.segment, (long) row * k + rank);
                expectedNumbers[rank] = x[row * width + expected[rank]];
            }
            String what = "the " + k + " largest of row " + row + " of " + width;
            assertThat(actual).as("%s: indices", what).isEqualTo(expected);
            // Of arrays, so that the signs of zeros count.
            assertThat(numbers).as("%s: values", what).isEqualTo(expectedNumbers);
        }
    }

    @Test
    void viewsAndAdoptedTensorsAreRead() {
        double[] x = rig.random(DType.F32, 9 * 50, 1);
        Rig.HostTarget indices = rig.new HostTarget(2 * 3 * 4);
        Rig.HostTarget values = rig.new HostTarget(2 * 3 * 4);
        rig.stream.topK(rig.weight(DType.F32, x, 9, 50).rows(4, 2), 3, indices.segment, values.segment);
        rig.stream.synchronize();
        for (int at = 0; at < 6; at++) {
            int row = 4 + at / 3;
            assertThat(HostNumbers.getInt(indices.segment, at)).isEqualTo(OracleMath.topK(x, row * 50, 50, 3)[at % 3]);
        }
    }

    @Test
    void severalSelectionsBeforeOneSynchronisation() {
        double[] x = rig.random(DType.F32, 4 * 3000, 1);
        Tensor tensor = rig.activation(x, 4, 3000);
        List<Rig.HostTarget> targets = IntStream.range(0, 8)
                .mapToObj(i -> rig.new HostTarget(4L * (i % 2 == 0 ? 1 : 20)))
                .toList();
        for (int row = 0; row < 4; row++) {
            int k = row % 2 == 0 ? 1 : 20;
            rig.stream.topK(tensor.rows(row, 1), k, targets.get(row).segment, targets.get(4 + row).segment);
        }
        rig.stream.synchronize();
        for (int row = 0; row < 4; row++) {
            int first = OracleMath.topK(x, row * 3000, 3000, 1)[0];
            assertThat(HostNumbers.getInt(targets.get(row).segment, 0)).isEqualTo(first);
            assertThat(HostNumbers.get(DType.F32, targets.get(4 + row).segment, 0))
                    .isEqualTo(x[row * 3000 + first]);
        }
    }

    @Test
    void selectionsThatAreNotPossibleAreRefused() {
        Tensor narrow = rig.zeros(DType.F32, 3, 5);
        Tensor wide = rig.zeros(DType.F32, 2, 2000);
        refused(narrow, 0, 0, 0);
        refused(narrow, -1, 12, 12);
        refused(narrow, Integer.MIN_VALUE, 12, 12);
        refused(narrow, 6, 3 * 6 * 4, 3 * 6 * 4);
        refused(wide, ComputeStream.MAX_TOP_K + 1, 2 * 1025 * 4, 2 * 1025 * 4);
        refused(wide, 2000, 2 * 2000 * 4, 2 * 2000 * 4);
        for (int wrong : new int[] {0, 20, 23, 25, 28, 48}) {
            refused(narrow, 2, wrong, 24);
            refused(narrow, 2, 24, wrong);
        }
        refused(rig.zeros(DType.F32, 5), 1, 4, 4);
        refused(rig.zeros(DType.F16, 3, 5), 1, 12, 12);
        refused(rig.zeros(DType.BF16, 3, 5), 1, 12, 12);
        rig.stream.synchronize();
    }

    private void refused(Tensor x, int k, int indexBytes, int valueBytes) {
        Rig.HostTarget indices = rig.new HostTarget(indexBytes);
        Rig.HostTarget values = rig.new HostTarget(valueBytes);
        String what = "the " + k + " largest of " + x.spec() + " to " + indexBytes + " and " + valueBytes + " bytes";
        assertThatThrownBy(() -> rig.stream.topK(x, k, indices.segment, values.segment))
                .as(what)
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining(x.spec().toString());
        rig.stream.synchronize();
        indices.checkUntouched(what);
        values.checkUntouched(what);
    }

    @Test
    void theSameTwice() {
        double[] x = rows(List.of(Row.TIES), 4000);
        Tensor tensor = rig.activation(x, 1, 4000);
        int[][] results = new int[2][100];
        for (int[] result : results) {
            Rig.HostTarget indices = rig.new HostTarget(400);
            Rig.HostTarget values = rig.new HostTarget(400);
            rig.stream.topK(tensor, 100, indices.segment, values.segment);
            rig.stream.synchronize();
            Arrays.setAll(result, i -> HostNumbers.getInt(indices.segment, i));
        }
        assertThat(results[1]).isEqualTo(results[0]);
    }
}
