package org.duoattention.backend.cpu.vector;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.L;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Optional;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.api.tensor.QuantizedSpec;
import org.duoattention.backend.cpu.kernel.AttentionTask;
import org.duoattention.backend.cpu.kernel.CpuKernels;
import org.duoattention.backend.cpu.kernel.GradientKernels;
import org.duoattention.backend.cpu.kernel.KvLayout;
import org.duoattention.backend.cpu.kernel.Matrix;
import org.duoattention.backend.cpu.kernel.PackedInput;
import org.duoattention.backend.cpu.kernel.QuantizedWeight;
import org.duoattention.backend.cpu.kernel.Weight;
import org.duoattention.backend.cpu.kernel.Workspace;
import org.jspecify.annotations.Nullable;

/**
 * Kernels of the Vector API. One width per JVM, from the system property {@code duo.cpu.simd}: {@code auto}, {@code 512},
 * {@code 256} or {@code 128}. Without hardware multiply-add they are right but useless: choose the scalar ones there.
 */
public final class VectorKernels implements CpuKernels {
    /** Whether these kernels compute attention scores. */
    public static final boolean HAS_SCORES = false;

    /** Inputs that share a scale when they are rounded to 8 bits. */
    public static final int ROUNDED_UNIT = GemvInt4Int8.UNIT;

    /** Tokens up to which dense weights are multiplied as they stream by. */
    static final int GEMV_TOKENS = 8;

    /** Tokens up to which quantised weights are multiplied as they stream by. */
    static final int QUANTIZED_GEMV_TOKENS = 4;

    /** The input form of {@link Gemm}. Forms other than the two named are the bits of a weight and, above, its group. */
    private static final int TILES = 1;

    /** The input form of {@link RoundedInput}. */
    private static final int ROUNDED = 2;

    private static final int GROUP_SHIFT = 4;
    private static final int FORM_BITS = (1 << GROUP_SHIFT) - 1;

    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final KvLayout layout = new PanelLayout();
    private final GradientKernels gradients = new VectorGradients();

    private final boolean roundInputs;

    /**
     * Kernels of the width of this JVM.
     *
     * @param roundInputs whether inputs of quantised linear layers may be rounded to 8 bits, in units of {@link
     *     #ROUNDED_UNIT}, where that is faster
     */
    public VectorKernels(boolean roundInputs) {
        this.roundInputs = roundInputs;
    }

    /** What is wrong with the system property {@code duo.cpu.simd}, if anything; to be asked before the first instance. */
    public static Optional<String> problem() {
        return SimdWidth.problem();
    }

    @Override
    public String description() {
        return Simd.description();
    }

    @Override
    public KvLayout layout() {
        return layout;
    }

    @Override
    public int linearRowBlock() {
        return QuantizedLayout.BLOCK;
    }

    @Override
    public int attendRows(int group) {
        return BlockedAttention.rows(group);
    }

    @Override
    public GradientKernels gradients() {
        return gradients;
    }

    @Override
    public boolean hasScores() {
        return HAS_SCORES;
    }

    @Override
    public long quantizedBytes(QuantizedSpec spec) {
        return QuantizedLayout.bytes(spec);
    }

    @Override
    public void repack(QuantizedMatrix source, MemorySegment target, long fromRow, long toRow) {
        QuantizedLayout.of(source.spec()).write(source, target, fromRow, toRow);
    }

    @Override
    public void widen(Weight table, long fromRow, long toRow, Matrix out, long outRow, Workspace workspace) {
        int columns = table.columns();
        float[] row = workspace.floats(columns);
        for (long r = fromRow; r < toRow; r++) {
            switch (table) {
                case Matrix m -> Widen.run(m.dtype(), m.segment(), m.at(r, 0), columns, row, 0);
                case QuantizedWeight q -> Dequantize.row(q, r, row);
            }
            MemorySegment.copy(row, 0, out.segment(), F32, out.at(outRow + r - fromRow, 0), columns);
        }
    }

    @Override
    public int linearTokens(int in) {
        return Gemm.mostTokens(in);
    }

    @Override
    public int inputForm(int tokens, Weight weight) {
        return switch (weight) {
            case Matrix m -> tokens <= GEMV_TOKENS ? 0 : TILES;
            case QuantizedWeight q when tokens > QUANTIZED_GEMV_TOKENS -> TILES;
            case QuantizedWeight q
            when roundInputs && q.format().bits() == 4 && q.format().group() % ROUNDED_UNIT == 0 -> ROUNDED;
            case QuantizedWeight q -> q.format().bits() | q.format().group() << GROUP_SHIFT;
        };
    }

    @Override
    public void reserve(int form, int tokens, int in, PackedInput target) {
        switch (form) {
            case TILES -> target.reserve(Gemm.packedFloats(tokens, in), 0);
            case ROUNDED -> target.reserve(tokens * RoundedInput.floats(in), tokens * RoundedInput.ints(in));
            default -> target.reserve(QuantizedGemv.packedFloats(tokens, in, form >>> GROUP_SHIFT), 0);
        }
    }

    @Override
    public void pack(int form, Matrix x, int part, int parts, PackedInput target) {
        switch (form) {
            case TILES -> Gemm.pack(x, part, parts, target.floats());
            case ROUNDED -> RoundedInput.pack(x, part, parts, target);
            default -> QuantizedGemv.pack(x, form & FORM_BITS, form >>> GROUP_SHIFT, part, parts, target.floats());
        }
    }

    @Override
    public void linear(
            Matrix x,
            PackedInput packed,
            Weight weight,
            @Nullable Matrix bias,
            Matrix out,
            long fromOut,
            long toOut,
            Workspace workspace) {
        int form = inputForm((int) x.rows(), weight);
        switch (form) {
            case TILES -> Gemm.linear(packed.floats(), weight, bias, out, fromOut, toOut, workspace);
            case ROUNDED ->
                QuantizedGemv.linearRounded(packed, (QuantizedWeight) weight, bias, out, fromOut, toOut, workspace);
            case 0 -> Gemv.linear(x, (Matrix) weight, bias, out, fromOut, toOut, workspace);
            default ->
                QuantizedGemv.linear(packed.floats(), (QuantizedWeight) weight, bias, out, fromOut, toOut, workspace);
        }
    }

    @Override
    public void rmsNorm(
            Matrix x, Matrix weight, float epsilon, Matrix out, long fromRow, long toRow, Workspace workspace) {
        RmsNorm.run(x, weight, epsilon, out, fromRow, toRow, workspace.floats(weight.columns()));
    }

    @Override
    public void rope(Matrix x, int headDim, Matrix cos, Matrix sin, long fromRow, long toRow) {
        Rotate.run(x, headDim, cos, sin, fromRow, toRow);
    }

    @Override
    public void swiGlu(Matrix gate, Matrix up, Matrix out, long from, long to) {
        SwiGlu.run(gate, up, out, from, to);
    }

    @Override
    public void add(Matrix target, Matrix x, long from, long to) {
        MemorySegment sum = target.segment();
        MemorySegment term = x.segment();
        long i = from;
        for (; i <= to - L; i += L) {
            long at = target.at(0, i);
            FloatVector.fromMemorySegment(F, sum, at, LITTLE_ENDIAN)
                    .add(FloatVector.fromMemorySegment(F, term, x.at(0, i), LITTLE_ENDIAN))
                    .intoMemorySegment(sum, at, LITTLE_ENDIAN);
        }
        for (; i < to; i++) {
            long at = target.at(0, i);
            sum.set(F32, at, sum.get(F32, at) + term.get(F32, x.at(0, i)));
        }
    }

    @Override
    public int nextAbove(Matrix x, long row, int from, float bound) {
        MemorySegment segment = x.segment();
        long at = x.at(row, 0);
        int columns = x.columns();
        int i = from;
        for (; i <= columns - L; i += L) {
            VectorMask<Float> below = FloatVector.fromMemorySegment(F, segment, at + 4L * i, LITTLE_ENDIAN)
                    .compare(VectorOperators.LE, bound);
            if (!below.allTrue()) {
                return i + below.not().firstTrue();
            }
        }
        while (i < columns && segment.get(F32, at + 4L * i) <= bound) {
            i++;
        }
        return i;
    }

    @Override
    public void attend(
            AttentionTask task,
            long fromRow,
            long toRow,
            long fromSlot,
            long toSlot,
            @Nullable MemorySegment partial,
            Workspace workspace) {
        Attention.attend(task, fromRow, toRow, fromSlot, toSlot, partial, workspace);
    }

    @Override
    public void merge(AttentionTask task, long row, MemorySegment partials, long offset, long stride, int splits) {
        Merge.run(task, row, partials, offset, stride, splits);
    }
}
