package org.duoattention.backend.cpu.vector;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static org.duoattention.backend.cpu.vector.QuantizedLayout.BLOCK;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.L;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.backend.cpu.kernel.Matrix;
import org.duoattention.backend.cpu.kernel.PackedInput;
import org.duoattention.backend.cpu.kernel.QuantizedWeight;
import org.duoattention.backend.cpu.kernel.Workspace;
import org.jspecify.annotations.Nullable;

/**
 * The linear layer with a quantised weight for a few tokens and inputs as they are: codes are multiplied and summed per
 * group, then the sum is scaled once, and the offset is multiplied with the sum of the group's inputs.
 *
 * <p>Packed inputs, per token: the inputs times the powers of two that {@link GemvInt4} and {@link GemvInt8} ask for, {@link
 * QuantizedLayout#words} times four per group; then the sums of the groups.
 */
final class QuantizedGemv {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private static final float[] FACTORS_4 = factors(1, 0x1p-4f, 0x1p-8f, 0x1p-12f);
    private static final float[] FACTORS_8 = factors(1, 0x1p-8f, 0x1p-16f, 1);

    private QuantizedGemv() {}

    private static float[] factors(float... four) {
        float[] vector = new float[L];
        for (int i = 0; i < L; i++) {
            vector[i] = four[i % 4];
        }
        return vector;
    }

    /** Floats of packed inputs. */
    static int packedFloats(int tokens, int in, int group) {
        return Math.multiplyExact(tokens, stride(in, group));
    }

    private static int stride(int in, int group) {
        return in / group * ((group + 3) / 4 * 4 + 1);
    }

    /** Share {@code part} of {@code parts} of the inputs. */
    static void pack(Matrix x, int bits, int group, int part, int parts, float[] target) {
        int in = x.columns();
        int stride = stride(in, group);
        int groups = in / group;
        int padded = (group + 3) / 4 * 4;
        float[] factors = bits == 4 ? FACTORS_4 : FACTORS_8;
        FloatVector factor = FloatVector.fromArray(F, factors, 0);
        MemorySegment source = x.segment();
        int end = (int) (x.rows() * (part + 1) / parts);
        for (int t = (int) (x.rows() * part / parts); t < end; t++) {
            for (int g = 0; g < groups; g++) {
                long from = x.at(t, (long) g * group);
                int to = t * stride + g * padded;
                FloatVector sums = FloatVector.zero(F);
                int i = 0;
                for (; i <= group - L; i += L) {
                    FloatVector value = FloatVector.fromMemorySegment(F, source, from + 4L * i, LITTLE_ENDIAN);
                    sums = sums.add(value);
                    value.mul(factor).intoArray(target, to + i);
                }
                float sum = LaneSum.of(sums);
                for (; i < padded; i++) {
                    float value = i < group ? source.get(F32, from + 4L * i) : 0;
                    sum += value;
                    target[to + i] = value * factors[i & 3];
                }
                target[t * stride + groups * padded + g] = sum;
            }
        }
    }

    /** Same contract as {@link org.duoattention.backend.cpu.kernel.CpuKernels#linear}; {@code from} starts a block. */
    static void linear(
            float[] packed,
            QuantizedWeight weight,
            @Nullable Matrix bias,
            Matrix out,
            long from,
            long to,
            Workspace workspace) {
        QuantizedLayout layout = QuantizedLayout.of(weight.spec());
        BlockFormat.Grouped format = weight.format();
        boolean half = format.scaleType() == DType.F16;
        int stride = stride(weight.columns(), format.group());
        int sums = stride - layout.groups();
        float[] y = workspace.floats(2 * BLOCK);
        for (long row = from; row < to; row += BLOCK) {
            long at = layout.blockAt(row);
            for (int t = 0; t < out.rows(); t++) {
                int x = t * stride;
                if (format.bits() == 4) {
                    GemvInt4.block(weight.segment(), at, layout, half, format.asymmetric(), packed, x, x + sums, y);
                } else {
                    GemvInt8.block(weight.segment(), at, layout, half, format.asymmetric(), packed, x, x + sums, y);
                }
                store(y, bias, out, t, row, (int) Math.min(BLOCK, to - row));
            }
        }
    }

    /** As {@link #linear}, with inputs rounded by {@link RoundedInput}. */
    static void linearRounded(
            PackedInput packed,
            QuantizedWeight weight,
            @Nullable Matrix bias,
            Matrix out,
            long from,
            long to,
            Workspace workspace) {
        QuantizedLayout layout = QuantizedLayout.of(weight.spec());
        BlockFormat.Grouped format = weight.format();
        boolean half = format.scaleType() == DType.F16;
        int ints = RoundedInput.ints(weight.columns());
        int floats = RoundedInput.floats(weight.columns());
        float[] y = workspace.floats(2 * BLOCK);
        for (long row = from; row < to; row += BLOCK) {
            long at = layout.blockAt(row);
            for (int t = 0; t < out.rows(); t++) {
                GemvInt4Int8.block(
                        weight.segment(),
                        at,
                        layout,
                        half,
                        format.asymmetric(),
                        packed.ints(),
                        t * ints,
                        packed.floats(),
                        t * floats,
                        y);
                store(y, bias, out, t, row, (int) Math.min(BLOCK, to - row));
            }
        }
    }

    private static void store(float[] y, @Nullable Matrix bias, Matrix out, int token, long row, int rows) {
        if (bias != null) {
            Widen.run(bias.dtype(), bias.segment(), bias.at(0, row), rows, y, BLOCK);
            for (int i = 0; i < rows; i++) {
                y[i] += y[BLOCK + i];
            }
        }
        MemorySegment.copy(y, 0, out.segment(), F32, out.at(token, row), rows);
    }
}
