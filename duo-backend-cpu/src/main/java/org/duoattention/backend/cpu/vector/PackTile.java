package org.duoattention.backend.cpu.vector;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import org.duoattention.backend.cpu.kernel.Matrix;

/** Some tokens of an input in the order of {@link PanelKernel}: {@code [in][tokens]}. */
final class PackTile {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private PackTile() {}

    /** The tokens {@code first .. first + width - 1}; those that {@code x} lacks are zero. */
    static void run(Matrix x, int first, int width, float[] target, int at) {
        int in = x.columns();
        int present = (int) Math.min(width, x.rows() - first);
        MemorySegment source = x.segment();
        long row = 4L * in;
        long from = x.at(first, 0);
        for (int t = 0; t + 4 <= width; t += 4) {
            if (t + 4 <= present) {
                for (int k = 0; k < in; k++) {
                    long p = from + 4L * k;
                    int to = at + k * width + t;
                    target[to] = source.get(F32, p);
                    target[to + 1] = source.get(F32, p + row);
                    target[to + 2] = source.get(F32, p + 2 * row);
                    target[to + 3] = source.get(F32, p + 3 * row);
                }
            } else {
                one(source, from, in, Math.max(0, present - t), 4, target, at + t, width);
            }
            from += 4 * row;
        }
        int rest = width % 4;
        one(source, from, in, Math.clamp(present - (width - rest), 0, rest), rest, target, at + width - rest, width);
    }

    private static void one(
            MemorySegment source, long from, int in, int present, int count, float[] target, int at, int stride) {
        for (int t = 0; t < count; t++) {
            for (int k = 0; k < in; k++) {
                target[at + k * stride + t] = t < present ? source.get(F32, from + 4L * (t * (long) in + k)) : 0;
            }
        }
    }
}
