package org.duoattention.backend.cpu.vector;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.Stream;
import jdk.incubator.vector.FloatVector;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.api.tensor.QuantizedSpec;
import org.duoattention.backend.cpu.kernel.AttentionTask;
import org.duoattention.backend.cpu.kernel.BFloat16;
import org.duoattention.backend.cpu.kernel.CpuKernels;
import org.duoattention.backend.cpu.kernel.KvHead;
import org.duoattention.backend.cpu.kernel.Matrix;
import org.duoattention.backend.cpu.kernel.PackedInput;
import org.duoattention.backend.cpu.kernel.QuantizedWeight;
import org.duoattention.backend.cpu.kernel.SlotRuns;
import org.duoattention.backend.cpu.kernel.Weight;
import org.duoattention.backend.cpu.kernel.Workspace;
import org.duoattention.backend.cpu.scalar.ScalarKernels;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The vector kernels against the scalar ones, which sum in double precision, over sizes around every vector width and at
 * addresses that no vector is aligned to. The build runs this once per width.
 */
class VectorKernelsTest {
    private static final int[] SIZES = {1, 7, 13, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129, 300};
    private static final DType[] TYPES = {DType.F32, DType.F16, DType.BF16};

    private final Arena arena = Arena.ofConfined();
    private final Workspace workspace = new Workspace();
    private final CpuKernels vector = new VectorKernels(true);
    private final CpuKernels scalar = new ScalarKernels();
    private final Random random = new Random(3);

    @AfterEach
    void close() {
        workspace.close();
        arena.close();
    }

    static Stream<Arguments> typesAndSizes() {
        return Arrays.stream(TYPES).flatMap(type -> Arrays.stream(SIZES).mapToObj(size -> Arguments.of(type, size)));
    }

    @ParameterizedTest
    @MethodSource("typesAndSizes")
    void linear(DType type, int in) {
        for (int outs : new int[] {1, 5, 13, 130}) {
            for (int tokens : new int[] {1, 3, 4, 7, 13, 33, 70}) {
                Matrix x = matrix(DType.F32, tokens, in);
                Matrix weight = matrix(type, outs, in);
                Matrix bias = matrix(type, 1, outs);
                Matrix actual = matrix(DType.F32, tokens, outs);
                Matrix expected = matrix(DType.F32, tokens, outs);
                PackedInput packed = packed(x, weight, 3);
                Matrix addend = outs == 5 ? null : bias;
                vector.linear(x, packed, weight, addend, actual, 0, outs / 2, workspace);
                vector.linear(x, packed, weight, addend, actual, outs / 2, outs, workspace);
                scalar.linear(x, new PackedInput(), weight, addend, expected, 0, outs, workspace);
                // Random products of size 1: partial sums grow with the square root of their number.
                assertClose(actual, expected, 1e-6 * Math.sqrt(in) * (1 + Math.log(in)));
            }
        }
    }

    private PackedInput packed(Matrix x, Weight weight, int parts) {
        return packed(vector, x, weight, parts);
    }

    private static PackedInput packed(CpuKernels vector, Matrix x, Weight weight, int parts) {
        PackedInput packed = new PackedInput();
        int tokens = (int) x.rows();
        int form = vector.inputForm(tokens, weight);
        if (form != 0) {
            vector.reserve(form, tokens, x.columns(), packed);
            for (int part = 0; part < parts; part++) {
                vector.pack(form, x, part, parts, packed);
            }
        }
        return packed;
    }

    /** Groups that no word, no unit and no slice divides, and such that are longer than a slice. */
    @ParameterizedTest
    @ValueSource(ints = {2, 6, 10, 48, 96, 130, 256, 300, 544})
    void linearOfUnusualGroups(int group) {
        CpuKernels exact = new VectorKernels(false);
        int in = group * Math.max(1, 600 / group);
        for (int bits : new int[] {4, 8}) {
            for (boolean asymmetric : new boolean[] {false, true}) {
                QuantizedSpec spec =
                        new QuantizedSpec(new BlockFormat.Grouped(bits, group, asymmetric, DType.F16), 70, in);
                QuantizedMatrix source = quantized(spec);
                QuantizedWeight weight = repacked(exact, source);
                QuantizedWeight reference = repacked(scalar, source);
                for (int tokens : new int[] {1, 3, 23}) {
                    Matrix x = matrix(DType.F32, tokens, in);
                    Matrix actual = matrix(DType.F32, tokens, 70);
                    Matrix expected = matrix(DType.F32, tokens, 70);
                    PackedInput packed = packed(exact, x, weight, 3);
                    exact.linear(x, packed, weight, null, actual, 0, 70, workspace);
                    scalar.linear(x, packed, reference, null, expected, 0, 70, workspace);
                    assertClose(actual, expected, 2e-5 * Math.sqrt(in));
                    if (bits == 4 && group % VectorKernels.ROUNDED_UNIT == 0) {
                        vector.linear(x, packed(vector, x, weight, 1), weight, null, actual, 0, 70, workspace);
                        // Products of size 1 with inputs rounded to one in 127.
                        assertClose(actual, expected, 0.05 * Math.sqrt(in));
                    }
                }
                Matrix row = matrix(DType.F32, 1, in);
                Matrix same = matrix(DType.F32, 1, in);
                exact.widen(weight, 69, 70, row, 0, workspace);
                scalar.widen(reference, 69, 70, same, 0, workspace);
                assertClose(row, same, 0);
            }
        }
    }

    private QuantizedMatrix quantized(QuantizedSpec spec) {
        MemorySegment codes = arena.allocate(spec.codeBytes());
        for (long i = 0; i < codes.byteSize(); i++) {
            codes.set(ValueLayout.JAVA_BYTE, i, (byte) random.nextInt());
        }
        return new QuantizedMatrix(
                spec,
                codes,
                halves(spec.scaleBytes(), 1f / spec.format().largestCode()),
                halves(spec.offsetBytes(), 1));
    }

    private MemorySegment halves(long bytes, float size) {
        MemorySegment segment = arena.allocate(bytes);
        for (long i = 0; i < bytes; i += 2) {
            short bits = Float.floatToFloat16(size * (random.nextFloat() - 0.5f));
            segment.set(ValueLayout.JAVA_SHORT_UNALIGNED, i, bits);
        }
        return segment;
    }

    private QuantizedWeight repacked(CpuKernels kernels, QuantizedMatrix source) {
        MemorySegment memory = arena.allocate(kernels.quantizedBytes(source.spec()), 64);
        kernels.repack(source, memory, 0, source.spec().rows());
        return new QuantizedWeight(memory, source.spec());
    }

    /** A result must not depend on how rows are cut into parts. */
    @ParameterizedTest
    @EnumSource(
            value = DType.class,
            names = {"F32", "F16", "BF16"})
    void linearIsTheSameHoweverItIsCut(DType type) {
        for (int tokens : new int[] {1, 40}) {
            Matrix x = matrix(DType.F32, tokens, 129);
            Matrix weight = matrix(type, 50, 129);
            Matrix whole = matrix(DType.F32, tokens, 50);
            Matrix parts = matrix(DType.F32, tokens, 50);
            PackedInput packed = packed(x, weight, 1);
            vector.linear(x, packed, weight, null, whole, 0, 50, workspace);
            for (int row = 0; row < 50; row += 12) {
                vector.linear(x, packed, weight, null, parts, row, Math.min(50, row + 12), workspace);
            }
            assertClose(parts, whole, 0);
        }
    }

    @ParameterizedTest
    @MethodSource("typesAndSizes")
    void elementwise(DType type, int size) {
        Matrix x = matrix(DType.F32, 5, 3 * size);
        Matrix y = matrix(DType.F32, 5, 3 * size);
        Matrix weight = matrix(type, 1, size);
        Matrix actual = matrix(DType.F32, 5, 3 * size);
        Matrix expected = copy(actual);

        vector.rmsNorm(x, weight, 1e-5f, actual, 1, 5, workspace);
        scalar.rmsNorm(x, weight, 1e-5f, expected, 1, 5, workspace);
        assertClose(actual, expected, 4e-6);

        vector.swiGlu(x, y, actual, 1, 15L * size - 1);
        scalar.swiGlu(x, y, expected, 1, 15L * size - 1);
        assertClose(actual, expected, 4e-6);

        vector.add(actual, x, 1, 15L * size);
        scalar.add(expected, x, 1, 15L * size);
        assertClose(actual, expected, 4e-6);

        Matrix table = matrix(type, 7, size);
        Matrix wide = matrix(DType.F32, 4, size);
        Matrix reference = copy(wide);
        vector.widen(table, 2, 5, wide, 1, workspace);
        scalar.widen(table, 2, 5, reference, 1, workspace);
        assertClose(wide, reference, 0);

        if (size > 1) {
            Matrix cos = matrix(DType.F32, 5, size / 2);
            Matrix sin = matrix(DType.F32, 5, size / 2);
            Matrix rotated = copy(x);
            vector.rope(x, size, cos, sin, 1, 4);
            scalar.rope(rotated, size, cos, sin, 1, 4);
            assertClose(x, rotated, 4e-6);
        }
    }

    /** Every binary16 and bfloat16 number, in the vector body and in the tail. */
    @ParameterizedTest
    @EnumSource(
            value = DType.class,
            names = {"F16", "BF16"})
    void widensEveryNumber(DType type) {
        Matrix all = new Matrix(arena.allocate(2 << 16), 0, type, 1, 1 << 16);
        for (int i = 0; i < 1 << 16; i++) {
            all.segment().set(ValueLayout.JAVA_SHORT, 2L * i, (short) i);
        }
        Matrix out = matrix(DType.F32, 1, 1 << 16);
        vector.widen(all, 0, 1, out, 0, workspace);
        for (int i = 0; i < 1 << 16; i++) {
            float expected = type == DType.F16 ? Float.float16ToFloat((short) i) : BFloat16.widen((short) i);
            assertThat(get(out, i)).as("bits %x", i).isEqualTo(Float.valueOf(expected));
        }
        // The same conversion, written out in the product with one token.
        Matrix rows = new Matrix(all.segment(), 0, type, 1 << 10, 64);
        float[] x = new float[64];
        for (int k = 0; k < 64; k++) {
            Arrays.fill(x, 0);
            x[k] = 1;
            Matrix unit = matrix(DType.F32, 1, 64);
            MemorySegment.copy(x, 0, unit.segment(), ValueLayout.JAVA_FLOAT_UNALIGNED, unit.offset(), 64);
            Matrix product = matrix(DType.F32, 1, 1 << 10);
            vector.linear(unit, new PackedInput(), rows, null, product, 0, 1 << 10, workspace);
            for (int row = 0; row < 1 << 10; row++) {
                // A sum of zeros is positive.
                float expected = get(out, row * 64L + k) + 0f;
                boolean finite = true;
                for (int other = 0; other < 64; other++) {
                    finite &= Float.isFinite(get(out, row * 64L + other));
                }
                if (finite) {
                    assertThat(get(product, row)).isEqualTo(Float.valueOf(expected));
                } else {
                    assertThat(get(product, row)).isNaN();
                }
            }
        }
    }

    @Test
    void exponentialIsWithinAnUlpAndAHalf() {
        float[] x = new float[Simd.L];
        double worst = 0;
        for (float from = -80; from < 0; from += 0.0007f) {
            for (int i = 0; i < x.length; i++) {
                x[i] = from + i * 0.00003f;
            }
            float[] y = new float[Simd.L];
            Exp.of(FloatVector.fromArray(Simd.F, x, 0)).intoArray(y, 0);
            for (int i = 0; i < x.length; i++) {
                double exact = Math.exp(x[i]);
                worst = Math.max(worst, Math.abs(y[i] - exact) / Math.ulp((float) exact));
            }
        }
        assertThat(worst).isLessThan(1.5);
        Arrays.fill(x, Float.NEGATIVE_INFINITY);
        Exp.of(FloatVector.fromArray(Simd.F, x, 0)).intoArray(x, 0);
        assertThat(x).containsOnly(0f);
    }

    @Test
    void powersOfTwoAreWithinFourUlps() {
        float[] x = new float[2 * Simd.L];
        double worst = 0;
        for (float from = -99.4f; from < Tile.HEADROOM; from += 0.0007f) {
            float[] exponents = new float[Simd.L];
            for (int i = 0; i < Simd.L; i++) {
                exponents[i] = from + i * 0.00003f;
                x[i] = exponents[i];
                x[Simd.L + i] = i;
            }
            Exp2.rows(x, 0, 1, Simd.L, Simd.L, Simd.L);
            for (int i = 0; i < Simd.L; i++) {
                double exact = Math.pow(2, exponents[i]);
                worst = Math.max(worst, Math.abs(x[i] - exact) / Math.ulp((float) exact));
                assertThat(x[Simd.L + i]).isEqualTo(i + x[i]);
            }
        }
        assertThat(worst).isLessThan(4);
    }

    @Test
    void powersOfTwoOfWhatIsFarBelowAreZero() {
        float[] x = new float[2 * Simd.L];
        for (float exponent : new float[] {-99.6f, -127, -150, -1e4f, -3e7f, -1e20f, Exp2.HIDDEN}) {
            Arrays.fill(x, exponent);
            Exp2.rows(x, 0, 1, Simd.L, Simd.L, Simd.L);
            assertThat(Arrays.copyOf(x, Simd.L)).containsOnly(0f);
        }
        Arrays.fill(x, Float.NaN);
        Exp2.rows(x, 0, 1, Simd.L, Simd.L, Simd.L);
        assertThat(x).containsOnly(Float.NaN);
    }

    @ParameterizedTest
    @EnumSource(
            value = DType.class,
            names = {"F32", "F16", "BF16"})
    void attention(DType type) {
        int[] dims = {1, 7, 13, 16, 32, 33, 64, 80, 96, 128, 256};
        int[] groups = {1, 2, 3, 4, 7, 8};
        // Every pair of the two twice.
        for (int round = 0; round < 2 * dims.length * groups.length; round++) {
            attention(type, dims[round % dims.length], groups[round % groups.length]);
        }
    }

    /** One random case: a cache in one piece or a ring, a window or none, slots in one range or in three. */
    private void attention(DType type, int dim, int group) {
        int rows = random.nextInt(3) == 0 ? 1 : 1 + random.nextInt(40);
        int count = rows + random.nextInt(200);
        int sinks = random.nextInt(Math.min(20, count));
        int rotation = random.nextInt(count - sinks + 1);
        SlotRuns runs = random.nextBoolean()
                ? SlotRuns.upTo(count)
                : new SlotRuns(0, sinks, sinks + rotation, count - rotation, sinks, count);
        long window = random.nextBoolean() ? AttentionTask.NO_WINDOW : count - rows - random.nextInt(count);
        KvHead head = head(vector, type, dim, count);
        KvHead reference = head(scalar, type, dim, count);
        Matrix k = matrix(DType.F32, count, 2 * dim);
        Matrix v = matrix(DType.F32, count, 2 * dim);
        for (int ordinal = 0; ordinal < count; ordinal++) {
            vector.layout().store(k, v, dim, ordinal, 1, head, runs.slot(ordinal), workspace);
            scalar.layout().store(k, v, dim, ordinal, 1, reference, runs.slot(ordinal), workspace);
        }
        Matrix q = matrix(DType.F32, rows, 2 * group * dim);
        Matrix actual = matrix(DType.F32, rows, 2 * group * dim);
        Matrix expected = copy(actual);
        // Sometimes sharp: references move often then, and most probabilities are zero.
        int sharpness = random.nextInt(4) == 0 ? 12 : 1;
        float scale = (float) (sharpness / Math.sqrt(dim));
        int column = group * dim;
        int end = count - rows + 1;
        AttentionTask task = new AttentionTask(head, runs, sinks, window, end, q, column, group, scale, actual);
        scalar.attend(
                new AttentionTask(reference, runs, sinks, window, end, q, column, group, scale, expected),
                0,
                rows,
                0,
                count,
                null,
                workspace);
        if (random.nextBoolean()) {
            int cut = random.nextInt(rows + 1);
            vector.attend(task, 0, cut, 0, count, null, workspace);
            vector.attend(task, cut, rows, 0, count, null, workspace);
        } else {
            long state = 4L * group * (dim + 2);
            MemorySegment partials = arena.allocate(3 * rows * state);
            int a = random.nextInt(count + 1);
            int b = a + random.nextInt(count - a + 1);
            vector.attend(task, 0, rows, 0, a, partials, workspace);
            vector.attend(task, 0, rows, a, b, partials.asSlice(rows * state), workspace);
            vector.attend(task, 0, rows, b, count, partials.asSlice(2 * rows * state), workspace);
            for (int row = 0; row < rows; row++) {
                vector.merge(task, row, partials, row * state, rows * state, 3);
            }
        }
        assertClose(actual, expected, 2e-5 * sharpness);
    }

    @ParameterizedTest
    @MethodSource("typesAndSizes")
    void layoutKeepsRows(DType type, int slots) {
        int dim = 13;
        KvHead head = head(vector, type, dim, slots);
        KvHead reference = head(scalar, type, dim, slots);
        Matrix k = matrix(DType.F32, slots, 2 * dim);
        Matrix v = matrix(DType.F32, slots, 2 * dim);
        vector.layout().store(k, v, dim, 0, slots, head, 0, workspace);
        scalar.layout().store(k, v, dim, 0, slots, reference, 0, workspace);
        assertThat(rows(vector, head).mismatch(rows(scalar, reference))).isEqualTo(-1);

        KvHead restored = head(vector, type, dim, slots);
        vector.layout().copyIn(rows(scalar, reference), 0, restored, 0, slots);
        assertThat(rows(vector, restored).mismatch(rows(scalar, reference))).isEqualTo(-1);

        vector.layout().move(head, slots - 1, slots / 3);
        scalar.layout().move(reference, slots - 1, slots / 3);
        long bytes = 2L * dim * type.bytes();
        MemorySegment moved = rows(vector, head).asSlice(slots / 3 * bytes, bytes);
        assertThat(moved.mismatch(rows(scalar, reference).asSlice(slots / 3 * bytes, bytes)))
                .isEqualTo(-1);
    }

    private MemorySegment rows(CpuKernels kernels, KvHead head) {
        MemorySegment rows =
                arena.allocate(2 * head.slots() * head.headDim() * head.dtype().bytes());
        kernels.layout().copyOut(head, 0, head.slots(), rows, 0);
        return rows;
    }

    private KvHead head(CpuKernels kernels, DType type, int dim, long slots) {
        long keys = kernels.layout().keyBytes(new BlockFormat.Dense(type), dim, slots) + 63 & -64;
        MemorySegment memory =
                arena.allocate(keys + kernels.layout().valueBytes(new BlockFormat.Dense(type), dim, slots), 64);
        return new KvHead(memory, 0, keys, new BlockFormat.Dense(type), dim, slots);
    }

    /** Random numbers around zero, a few of them subnormal in binary16, at an offset that is no multiple of 4. */
    private Matrix matrix(DType type, long rows, int columns) {
        MemorySegment memory = arena.allocate(rows * columns * type.bytes() + 6, 8);
        Matrix matrix = new Matrix(memory, 6, type, rows, columns);
        for (long i = 0; i < rows * columns; i++) {
            float value = (float) random.nextGaussian() * (random.nextInt(50) == 0 ? 1e-5f : 1);
            long at = matrix.at(0, i);
            switch (type) {
                case F32 -> memory.set(ValueLayout.JAVA_FLOAT_UNALIGNED, at, value);
                case F16 -> memory.set(ValueLayout.JAVA_SHORT_UNALIGNED, at, Float.floatToFloat16(value));
                default -> memory.set(ValueLayout.JAVA_SHORT_UNALIGNED, at, BFloat16.round(value));
            }
        }
        return matrix;
    }

    private Matrix copy(Matrix matrix) {
        Matrix copy = matrix(matrix.dtype(), matrix.rows(), matrix.columns());
        MemorySegment.copy(
                matrix.segment(), 0, copy.segment(), 0, matrix.segment().byteSize());
        return copy;
    }

    private static float get(Matrix matrix, long element) {
        return matrix.segment().get(ValueLayout.JAVA_FLOAT_UNALIGNED, matrix.at(0, element));
    }

    private static void assertClose(Matrix actual, Matrix expected, double bound) {
        double worst = 0;
        for (long i = 0; i < actual.rows() * actual.columns(); i++) {
            double difference = Math.abs((double) get(actual, i) - get(expected, i));
            worst = difference <= worst ? worst : difference;
        }
        assertThat(worst).isLessThanOrEqualTo(bound);
    }
}
