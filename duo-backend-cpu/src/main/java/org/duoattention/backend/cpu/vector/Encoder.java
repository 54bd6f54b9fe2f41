package org.duoattention.backend.cpu.vector;

import static jdk.incubator.vector.VectorOperators.F2I;
import static jdk.incubator.vector.VectorOperators.MAX;
import static jdk.incubator.vector.VectorOperators.MIN;
import static org.duoattention.backend.cpu.vector.Simd.F;
import static org.duoattention.backend.cpu.vector.Simd.L;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.backend.cpu.kernel.Workspace;
import org.duoattention.quant.kv.KvCodec;
import org.jspecify.annotations.Nullable;

/** A quantised row in arrays, and {@link KvCodec}'s arithmetic in vectors: the same codes, scales and offsets. */
final class Encoder {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /** Adding and subtracting it rounds to an integer, ties to even. */
    private static final float ROUND = 12582912f;

    /** Codes of the row. */
    final int[] codes;
    /** F16 scales of the groups. */
    final short[] scales;
    /** F16 offsets of the groups. */
    final short[] offsets;

    private final BlockFormat.Grouped format;
    private final KvCodec codec;
    /** For a group's extremes, which decide scale and offset. */
    private final KvCodec pairs;

    private final float[] row;
    private final float[] extremes = new float[2];

    Encoder(BlockFormat.Grouped format, int headDim) {
        this.format = format;
        codec = new KvCodec(format);
        pairs = new KvCodec(new BlockFormat.Grouped(format.bits(), 2, true, DType.F16));
        codes = new int[headDim];
        scales = new short[headDim / format.group()];
        offsets = new short[scales.length];
        row = new float[headDim];
    }

    /** A thread's encoder, made anew when the format is not the one of its last call. */
    static Encoder of(BlockFormat.Grouped format, int headDim, Workspace workspace) {
        Last last = workspace.kept(Last.class, Last::new);
        Encoder encoder = last.encoder;
        if (encoder == null || encoder.row.length != headDim || !encoder.format.equals(format)) {
            encoder = new Encoder(format, headDim);
            last.encoder = encoder;
        }
        return encoder;
    }

    private static final class Last {
        @Nullable
        Encoder encoder;
    }

    /** Quantises F32 elements in memory. */
    void encode(MemorySegment source, long at) {
        MemorySegment.copy(source, F32, at, row, 0, row.length);
        for (int g = 0; g < scales.length; g++) {
            if (format.group() % L == 0) {
                group(g);
            } else {
                scalar(g);
            }
        }
    }

    private void group(int g) {
        int from = g * format.group();
        int to = from + format.group();
        FloatVector least = FloatVector.fromArray(F, row, from);
        FloatVector most = least;
        for (int i = from + L; i < to; i += L) {
            FloatVector x = FloatVector.fromArray(F, row, i);
            least = least.min(x);
            most = most.max(x);
        }
        extremes[0] = least.reduceLanes(MIN);
        extremes[1] = most.reduceLanes(MAX);
        short offset = pairs.offset(extremes, 0);
        short scale = pairs.scale(extremes, 0, offset);
        offsets[g] = offset;
        scales[g] = scale;
        float step = Float.float16ToFloat(scale);
        if (step == 0) {
            java.util.Arrays.fill(codes, from, to, 0);
            return;
        }
        FloatVector start = FloatVector.broadcast(F, Float.float16ToFloat(offset));
        for (int i = from; i < to; i += L) {
            FloatVector code = FloatVector.fromArray(F, row, i).sub(start).div(step);
            // In the order in which NaN becomes 0 and no int overflows.
            code = code.min(format.largestCode()).max(0).add(ROUND).sub(ROUND);
            ((IntVector) code.convert(F2I, 0)).intoArray(codes, i);
        }
    }

    private void scalar(int g) {
        int from = g * format.group();
        offsets[g] = codec.offset(row, from);
        scales[g] = codec.scale(row, from, offsets[g]);
        for (int i = from; i < from + format.group(); i++) {
            codes[i] = codec.code(row[i], offsets[g], scales[g]);
        }
    }
}
