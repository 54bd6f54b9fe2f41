package org.duoattention.core.load.gguf;

/** Quantises to the block types of 32 values, by the plainest rounding, and says which values come out. */
public enum TestBlocks {
    Q8_0(8) {
        @Override
        void block(float[] x, int at, GgufWriter.Bytes bytes, GgufWriter.Bytes values) {
            float d = half(largest(x, at) / 127);
            bytes.raw(halfBytes(d));
            for (int i = 0; i < 32; i++) {
                int q = Math.clamp(Math.round(d == 0 ? 0 : x[at + i] / d), -127, 127);
                bytes.int8(q);
                values.float32(d * q);
            }
        }
    },
    Q4_0(2) {
        @Override
        void block(float[] x, int at, GgufWriter.Bytes bytes, GgufWriter.Bytes values) {
            // Negative, as the original quantiser makes it where the largest value is positive.
            float d = half(-largest(x, at) / 8);
            int[] q = new int[32];
            for (int i = 0; i < 32; i++) {
                q[i] = Math.clamp(Math.round(d == 0 ? 0 : x[at + i] / d) + 8L, 0, 15);
                values.float32(d * (q[i] - 8));
            }
            bytes.raw(halfBytes(d));
            nibbles(q, bytes);
        }
    },
    Q4_1(3) {
        @Override
        void block(float[] x, int at, GgufWriter.Bytes bytes, GgufWriter.Bytes values) {
            float least = Float.MAX_VALUE;
            float most = -Float.MAX_VALUE;
            for (int i = 0; i < 32; i++) {
                least = Math.min(least, x[at + i]);
                most = Math.max(most, x[at + i]);
            }
            float m = half(least);
            float d = half((most - least) / 15);
            int[] q = new int[32];
            for (int i = 0; i < 32; i++) {
                q[i] = Math.clamp(Math.round(d == 0 ? 0 : (x[at + i] - m) / d), 0, 15);
                values.float32(d * q[i] + m);
            }
            bytes.raw(halfBytes(d)).raw(halfBytes(m));
            nibbles(q, bytes);
        }
    };

    private final int type;

    TestBlocks(int type) {
        this.type = type;
    }

    /** The type's number in the format. */
    int type() {
        return type;
    }

    abstract void block(float[] x, int at, GgufWriter.Bytes bytes, GgufWriter.Bytes values);

    /** The blocks of rows that are a multiple of 32. */
    byte[] encode(float[] values) {
        GgufWriter.Bytes bytes = new GgufWriter.Bytes();
        for (int at = 0; at < values.length; at += 32) {
            block(values, at, bytes, new GgufWriter.Bytes());
        }
        return bytes.array();
    }

    /** What the blocks stand for, as F32. */
    byte[] rounded(float[] values) {
        GgufWriter.Bytes floats = new GgufWriter.Bytes();
        for (int at = 0; at < values.length; at += 32) {
            block(values, at, new GgufWriter.Bytes(), floats);
        }
        return floats.array();
    }

    private static float largest(float[] x, int at) {
        float largest = 0;
        for (int i = 0; i < 32; i++) {
            largest = Math.max(largest, Math.abs(x[at + i]));
        }
        return largest;
    }

    private static float half(float value) {
        return Float.float16ToFloat(Float.floatToFloat16(value));
    }

    private static byte[] halfBytes(float value) {
        short bits = Float.floatToFloat16(value);
        return new byte[] {(byte) bits, (byte) (bits >> 8)};
    }

    /** Value i in the lower half of byte i, value i + 16 in the upper one. */
    private static void nibbles(int[] q, GgufWriter.Bytes bytes) {
        for (int i = 0; i < 16; i++) {
            bytes.int8(q[i] | q[i + 16] << 4);
        }
    }
}
