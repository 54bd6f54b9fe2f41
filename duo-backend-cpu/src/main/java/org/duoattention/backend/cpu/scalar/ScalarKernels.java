package org.duoattention.backend.cpu.scalar;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.api.tensor.QuantizedSpec;
import org.duoattention.backend.cpu.kernel.AttentionTask;
import org.duoattention.backend.cpu.kernel.BFloat16;
import org.duoattention.backend.cpu.kernel.CpuKernels;
import org.duoattention.backend.cpu.kernel.GradientKernels;
import org.duoattention.backend.cpu.kernel.KvLayout;
import org.duoattention.backend.cpu.kernel.Matrix;
import org.duoattention.backend.cpu.kernel.PackedInput;
import org.duoattention.backend.cpu.kernel.QuantizedWeight;
import org.duoattention.backend.cpu.kernel.RowLayout;
import org.duoattention.backend.cpu.kernel.Weight;
import org.duoattention.backend.cpu.kernel.Workspace;
import org.jspecify.annotations.Nullable;

/** Plain loops with sums in double precision. */
public final class ScalarKernels implements CpuKernels {
    static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final ValueLayout.OfShort I16 = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final KvLayout layout = new RowLayout();

    @Override
    public String description() {
        return "scalar";
    }

    @Override
    public KvLayout layout() {
        return layout;
    }

    @Override
    public int linearRowBlock() {
        return 1;
    }

    @Override
    public int attendRows(int group) {
        return 8;
    }

    @Override
    public GradientKernels gradients() {
        return new ScalarGradients(this);
    }

    @Override
    public boolean hasScores() {
        return true;
    }

    /** One element of a matrix, by byte offset. */
    static float element(MemorySegment segment, DType dtype, long at) {
        return switch (dtype) {
            case F32 -> segment.get(F32, at);
            case F16 -> Float.float16ToFloat(segment.get(I16, at));
            default -> BFloat16.widen(segment.get(I16, at));
        };
    }

    /** Copies consecutive elements as floats. */
    private static void widen(MemorySegment from, DType dtype, long at, MemorySegment to, long target, int count) {
        switch (dtype) {
            case F32 -> MemorySegment.copy(from, at, to, target, 4L * count);
            case F16 -> {
                for (int i = 0; i < count; i++) {
                    to.set(F32, target + 4L * i, Float.float16ToFloat(from.get(I16, at + 2L * i)));
                }
            }
            default -> {
                for (int i = 0; i < count; i++) {
                    to.set(F32, target + 4L * i, BFloat16.widen(from.get(I16, at + 2L * i)));
                }
            }
        }
    }

    @Override
    public long quantizedBytes(QuantizedSpec spec) {
        return spec.byteSize();
    }

    @Override
    public void repack(QuantizedMatrix source, MemorySegment target, long fromRow, long toRow) {
        ScalarQuantized.repack(source, target, fromRow, toRow);
    }

    @Override
    public void widen(Weight table, long fromRow, long toRow, Matrix out, long outRow, Workspace workspace) {
        for (long r = fromRow; r < toRow; r++) {
            row(table, r, out.segment(), out.at(outRow + r - fromRow, 0));
        }
    }

    /** A row as floats from byte {@code target} on. */
    private static void row(Weight weight, long row, MemorySegment to, long target) {
        switch (weight) {
            case Matrix m -> widen(m.segment(), m.dtype(), m.at(row, 0), to, target, m.columns());
            case QuantizedWeight q -> ScalarQuantized.row(q, row, to, target);
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
        int in = weight.columns();
        MemorySegment row = workspace.reserve(4L * in);
        for (long o = fromOut; o < toOut; o++) {
            row(weight, o, row, 0);
            double start = bias == null ? 0 : element(bias.segment(), bias.dtype(), bias.at(0, o));
            for (long t = 0; t < x.rows(); t++) {
                double sum = start + dot(x.segment(), x.at(t, 0), row, 0, in);
                out.segment().set(F32, out.at(t, o), (float) sum);
            }
        }
    }

    /** Four sums side by side, since one alone waits for its own last addition. */
    private static double dot(MemorySegment a, long atA, MemorySegment b, long atB, int count) {
        double s0 = 0;
        double s1 = 0;
        double s2 = 0;
        double s3 = 0;
        int i = 0;
        for (; i + 3 < count; i += 4) {
            long p = atA + 4L * i;
            long q = atB + 4L * i;
            s0 += (double) a.get(F32, p) * b.get(F32, q);
            s1 += (double) a.get(F32, p + 4) * b.get(F32, q + 4);
            s2 += (double) a.get(F32, p + 8) * b.get(F32, q + 8);
            s3 += (double) a.get(F32, p + 12) * b.get(F32, q + 12);
        }
        for (; i < count; i++) {
            s0 += (double) a.get(F32, atA + 4L * i) * b.get(F32, atB + 4L * i);
        }
        return s0 + s1 + (s2 + s3);
    }

    @Override
    public void rmsNorm(
            Matrix x, Matrix weight, float epsilon, Matrix out, long fromRow, long toRow, Workspace workspace) {
        int group = weight.columns();
        for (long r = fromRow; r < toRow; r++) {
            for (int start = 0; start < x.columns(); start += group) {
                long from = x.at(r, start);
                double squares = dot(x.segment(), from, x.segment(), from, group);
                double factor = 1 / Math.sqrt(squares / group + epsilon);
                long to = out.at(r, start);
                for (int i = 0; i < group; i++) {
                    float w = element(weight.segment(), weight.dtype(), weight.at(0, i));
                    out.segment().set(F32, to + 4L * i, (float) (x.segment().get(F32, from + 4L * i) * factor * w));
                }
            }
        }
    }

    @Override
    public void rope(Matrix x, int headDim, Matrix cos, Matrix sin, long fromRow, long toRow) {
        int pairs = cos.columns();
        MemorySegment data = x.segment();
        for (long r = fromRow; r < toRow; r++) {
            for (int start = 0; start < x.columns(); start += headDim) {
                for (int i = 0; i < pairs; i++) {
                    float c = cos.segment().get(F32, cos.at(r, i));
                    float s = sin.segment().get(F32, sin.at(r, i));
                    long lower = x.at(r, start + i);
                    long upper = x.at(r, start + i + pairs);
                    float a = data.get(F32, lower);
                    float b = data.get(F32, upper);
                    data.set(F32, lower, a * c - b * s);
                    data.set(F32, upper, b * c + a * s);
                }
            }
        }
    }

    @Override
    public void swiGlu(Matrix gate, Matrix up, Matrix out, long from, long to) {
        for (long i = from; i < to; i++) {
            double g = gate.segment().get(F32, gate.offset() + 4 * i);
            double u = up.segment().get(F32, up.offset() + 4 * i);
            out.segment().set(F32, out.offset() + 4 * i, (float) (g / (1 + Math.exp(-g)) * u));
        }
    }

    @Override
    public void add(Matrix target, Matrix x, long from, long to) {
        for (long i = from; i < to; i++) {
            long at = target.offset() + 4 * i;
            float sum = target.segment().get(F32, at) + x.segment().get(F32, x.offset() + 4 * i);
            target.segment().set(F32, at, sum);
        }
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
        ScalarAttention.attend(task, fromRow, toRow, fromSlot, toSlot, partial);
    }

    @Override
    public void scores(AttentionTask task, long fromRow, long toRow, float[] sums) {
        ScalarAttention.scores(task, fromRow, toRow, sums);
    }
}
