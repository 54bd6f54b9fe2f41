package org.duoattention.backend.cpu.kernel;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.api.tensor.QuantizedSpec;
import org.jspecify.annotations.Nullable;

/**
 * The arithmetic of the CPU backend for one instruction set.
 *
 * <p>Every call computes one part of an operation on the calling thread; parts of one operation write disjoint memory
 * and run on several threads at once. Implementations are stateless. Shapes, liveness and overlap have been checked by
 * the caller. Matrices named {@code x}, {@code q}, {@code k}, {@code v}, {@code out} are F32; weights are F32, F16 or
 * BF16. Sums are accumulated in at least F32.
 */
public interface CpuKernels {
    /** The path taken, for people: for example {@code AVX-512} or {@code scalar}. */
    String description();

    /** How slabs are laid out. */
    KvLayout layout();

    /** Row ranges given to {@link #linear} and {@link #repack} start at multiples of this number of weight rows. */
    int linearRowBlock();

    /** Most query rows that one call of {@link #attend} gets in a prefill; at least 1. Each stands for {@code group} heads. */
    int attendRows(int group);

    /** The backward operations. */
    GradientKernels gradients();

    /** Whether {@link #scores} is supported. */
    boolean hasScores();

    /** Bytes of a quantised weight in the order of these kernels. */
    long quantizedBytes(QuantizedSpec spec);

    /**
     * Writes rows {@code fromRow .. toRow-1} of a quantised matrix in the order of these kernels.
     *
     * @param target all of the weight, {@link #quantizedBytes} bytes, zeros before the first call
     */
    void repack(QuantizedMatrix source, MemorySegment target, long fromRow, long toRow);

    /**
     * Rows {@code fromRow .. toRow-1} of a table as F32: {@code out[outRow + i] = table[fromRow + i]}, same number of
     * columns.
     */
    void widen(Weight table, long fromRow, long toRow, Matrix out, long outRow, Workspace workspace);

    /** Most rows of {@code x} that {@link #linear} and {@link #pack} get; the caller cuts longer ones. */
    default int linearTokens(int in) {
        return Integer.MAX_VALUE;
    }

    /**
     * In which form {@link #linear} wants {@code tokens} rows of input for a weight: 0 when it reads them as they are and
     * {@link #pack} is not called. One packed input serves all weights of the same form.
     */
    default int inputForm(int tokens, Weight weight) {
        return 0;
    }

    /** Makes room for an input in a form. */
    default void reserve(int form, int tokens, int in, PackedInput target) {}

    /**
     * Writes share {@code part} of {@code parts} of {@code x} in a form. All shares are written before the first {@link
     * #linear}; the result serves all parts of all weights.
     */
    default void pack(int form, Matrix x, int part, int parts, PackedInput target) {}

    /**
     * Columns {@code fromOut .. toOut-1} of {@code out = x * transpose(weight) + bias}, for all rows of {@code x}: a GEMV
     * when {@code x} has one row, a GEMM otherwise.
     *
     * @param x {@code [tokens, in]}
     * @param packed what {@link #pack} made of {@code x} in the form of the weight
     * @param weight {@code [outs, in]}, any weight type, or one that {@link #repack} wrote
     * @param bias {@code [1, outs]}, any weight type, or null
     * @param out {@code [tokens, outs]}
     */
    void linear(
            Matrix x,
            PackedInput packed,
            Weight weight,
            @Nullable Matrix bias,
            Matrix out,
            long fromOut,
            long toOut,
            Workspace workspace);

    /**
     * Rows {@code fromRow .. toRow-1} of RMSNorm over every consecutive group of {@code weight.columns()} elements.
     * {@code out} may be {@code x}.
     *
     * @param weight {@code [1, group]}, any weight type
     */
    void rmsNorm(Matrix x, Matrix weight, float epsilon, Matrix out, long fromRow, long toRow, Workspace workspace);

    /**
     * Rotates rows {@code fromRow .. toRow-1} in place: elements {@code i} and {@code i + pairs} of every head, {@code i <
     * pairs}, are turned by {@code cos[row][i]}, {@code sin[row][i]}.
     *
     * @param x {@code [tokens, heads * headDim]}
     * @param cos F32 {@code [tokens, pairs]}, attention factor included
     * @param sin F32 {@code [tokens, pairs]}, attention factor included
     */
    void rope(Matrix x, int headDim, Matrix cos, Matrix sin, long fromRow, long toRow);

    /**
     * {@code out = gate * sigmoid(gate) * up} for the elements {@code from .. to-1} of the row-major order. {@code out} may
     * be {@code gate} or {@code up}.
     */
    void swiGlu(Matrix gate, Matrix up, Matrix out, long from, long to);

    /** {@code target += x} for the elements {@code from .. to-1} of the row-major order. */
    void add(Matrix target, Matrix x, long from, long to);

    /**
     * The first column from {@code from} on where a row's element is not at most {@code bound}, or is NaN; the number of columns
     * where there is none.
     */
    default int nextAbove(Matrix x, long row, int from, float bound) {
        MemorySegment segment = x.segment();
        long at = x.at(row, 0);
        int columns = x.columns();
        for (int i = from; i < columns; i++) {
            if (!(segment.get(ValueLayout.JAVA_FLOAT_UNALIGNED, at + 4L * i) <= bound)) {
                return i;
            }
        }
        return columns;
    }

    /**
     * Attention of query rows {@code fromRow .. toRow-1} of every query head of the group, over the ordinals {@code
     * fromSlot .. toSlot-1} as far as the row sees them. Each key and value row is read once per call for all rows and heads
     * that fit in registers or cache; the softmax is computed online (arXiv 1805.02867).
     *
     * <p>Without {@code partial} the range holds all that the rows see, and the result goes to {@code task.out()}. With it, the
     * unnormalised state goes there: for row {@code r}, head {@code g} at float index {@code ((r - fromRow) * group + g) *
     * (headDim + 2)} a reference near the largest scaled product (negative infinity when nothing was visible), the sum of the
     * exponentials relative to it, and the {@code headDim} weighted value sums (zeros when nothing was visible). {@link #merge} joins such
     * states.
     *
     * @param partial byte-addressed from 0, or null
     */
    void attend(
            AttentionTask task,
            long fromRow,
            long toRow,
            long fromSlot,
            long toSlot,
            @Nullable MemorySegment partial,
            Workspace workspace);

    /**
     * Joins the states of one row that {@link #attend} left for consecutive ordinal ranges, and writes the row's result to
     * {@code task.out()}.
     *
     * @param partials the states
     * @param offset byte offset of the row's state for the first range: {@code group * (headDim + 2)} floats
     * @param stride bytes from there to the row's state for the next range
     * @param splits number of ranges
     */
    default void merge(AttentionTask task, long row, MemorySegment partials, long offset, long stride, int splits) {
        int dim = task.head().headDim();
        int group = task.group();
        ValueLayout.OfFloat f32 = ValueLayout.JAVA_FLOAT_UNALIGNED;
        MemorySegment out = task.out().segment();
        for (int g = 0; g < group; g++) {
            float max = Float.NEGATIVE_INFINITY;
            for (int s = 0; s < splits; s++) {
                max = Math.max(max, partials.get(f32, offset + s * stride + 4L * g * (dim + 2)));
            }
            long at = task.out().at(row, task.column() + (long) g * dim);
            for (int d = 0; d < dim; d++) {
                out.set(f32, at + 4L * d, 0);
            }
            double sum = 0;
            for (int s = 0; s < splits; s++) {
                long state = offset + s * stride + 4L * g * (dim + 2);
                float factor = (float) Math.exp(partials.get(f32, state) - max);
                sum += (double) factor * partials.get(f32, state + 4);
                for (int d = 0; d < dim && factor != 0; d++) {
                    long target = at + 4L * d;
                    out.set(f32, target, out.get(f32, target) + factor * partials.get(f32, state + 8 + 4L * d));
                }
            }
            float inverse = (float) (1 / sum);
            for (int d = 0; d < dim; d++) {
                long target = at + 4L * d;
                out.set(f32, target, out.get(f32, target) * inverse);
            }
        }
    }

    /**
     * Adds to {@code sums[ordinal]} the attention probabilities of rows {@code fromRow .. toRow-1}, summed over the group's
     * heads.
     *
     * @param sums one per ordinal of {@code task.runs()}
     * @throws UnsupportedOperationException unless {@link #hasScores}
     */
    default void scores(AttentionTask task, long fromRow, long toRow, float[] sums) {
        throw new UnsupportedOperationException("these kernels compute no attention scores");
    }
}
