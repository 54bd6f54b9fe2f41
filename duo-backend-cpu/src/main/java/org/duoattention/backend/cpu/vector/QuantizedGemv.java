package org.duoattention.backend.cpu.vector;

import static org.duoattention.backend.cpu.vector.QuantizedLayout.BLOCK;
import static org.duoattention.backend.cpu.vector.Simd.PANEL;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.backend.cpu.kernel.Matrix;
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

    private QuantizedGemv() {}

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
        float[] factors =
                bits == 4 ? new float[] {1, 0x1p-4f, 0x1p-8f, 0x1p-12f} : new float[] {1, 0x1p-8f, 0x1p-16f, 1};
        MemorySegment source = x.segment();
        int end = (int) (x.rows() * (part + 1) / parts);
        for (int t = (int) (x.rows() * part / parts); t < end; t++) {
            for (int g = 0; g < groups; g++) {
                long from = x.at(t, (long) g * group);
                int to = t * stride + g * padded;
                double sum = 0;
                for (int i = 0; i < padded; i++) {
                    float value = i < group ? source.get(F32, from + 4L * i) : 0;
                    sum += value;
                    target[to + i] = value * factors[i & 3];
                }
                target[t * stride + groups * padded + g] = (float) sum;
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
        float[] scratch = workspace.floats(4 * BLOCK);
        for (long row = from; row < to; row += BLOCK) {
            for (int t = 0; t < out.rows(); t++) {
                block(packed, t, weight, layout, layout.blockAt(row), scratch);
                store(scratch, bias, out, t, row, (int) Math.min(BLOCK, to - row));
            }
        }
    }

    private static void block(
            float[] packed, int token, QuantizedWeight weight, QuantizedLayout layout, long at, float[] scratch) {
        BlockFormat.Grouped format = weight.format();
        MemorySegment w = weight.segment();
        boolean half = format.scaleType() == DType.F16;
        int inputs = 4 * layout.words();
        int x = token * stride(weight.columns(), format.group());
        int sums = x + layout.groups() * inputs;
        Arrays.fill(scratch, 3 * BLOCK, 4 * BLOCK, 0);
        for (int g = 0; g < layout.groups(); g++, at += layout.groupBytes()) {
            float sum = packed[sums + g];
            float start = format.asymmetric() ? 0 : -format.centre() * sum;
            if (format.bits() == 4) {
                GemvInt4.group(w, at, layout.words(), packed, x + g * inputs, start, scratch);
            } else {
                GemvInt8.group(w, at, layout.words(), packed, x + g * inputs, start, scratch);
            }
            ScaleVectors.run(w, at + layout.scalesAt(), half, scratch, BLOCK);
            ScaleVectors.run(w, at + layout.scalesAt() + layout.scaleBytes(), half, scratch, BLOCK + PANEL);
            if (format.asymmetric()) {
                ScaleVectors.run(w, at + layout.offsetsAt(), half, scratch, 2 * BLOCK);
                ScaleVectors.run(w, at + layout.offsetsAt() + layout.scaleBytes(), half, scratch, 2 * BLOCK + PANEL);
            }
            for (int i = 0; i < BLOCK; i++) {
                float total = scratch[3 * BLOCK + i];
                total = Math.fma(scratch[i], scratch[BLOCK + i], total);
                if (format.asymmetric()) {
                    total = Math.fma(scratch[2 * BLOCK + i], sum, total);
                }
                scratch[3 * BLOCK + i] = total;
            }
        }
    }

    private static void store(float[] scratch, @Nullable Matrix bias, Matrix out, int token, long row, int rows) {
        if (bias != null) {
            Widen.run(bias.dtype(), bias.segment(), bias.at(0, row), rows, scratch, 0);
            for (int i = 0; i < rows; i++) {
                scratch[3 * BLOCK + i] += scratch[i];
            }
        }
        MemorySegment.copy(scratch, 3 * BLOCK, out.segment(), F32, out.at(token, row), rows);
    }
}
