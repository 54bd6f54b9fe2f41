package org.duoattention.core.load.gguf;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** GGUF files built value by value, so that they can be as wrong as a test wants. */
public final class GgufWriter {
    public static final int UINT8 = 0;
    public static final int UINT16 = 2;
    public static final int UINT32 = 4;
    public static final int INT32 = 5;
    public static final int FLOAT32 = 6;
    public static final int BOOL = 7;
    public static final int STRING = 8;
    public static final int ARRAY = 9;
    public static final int UINT64 = 10;

    private final Bytes entries = new Bytes();
    private final Bytes infos = new Bytes();
    private final Bytes data = new Bytes();
    private long entryCount;
    private long tensorCount;
    private int version = 3;
    private int alignment = 32;

    /** Little-endian values one after the other. */
    public static final class Bytes {
        private final ByteArrayOutputStream out = new ByteArrayOutputStream();

        public Bytes int8(int value) {
            out.write(value);
            return this;
        }

        public Bytes int32(long value) {
            out.writeBytes(ByteBuffer.allocate(4)
                    .order(ByteOrder.LITTLE_ENDIAN)
                    .putInt((int) value)
                    .array());
            return this;
        }

        public Bytes int64(long value) {
            out.writeBytes(ByteBuffer.allocate(8)
                    .order(ByteOrder.LITTLE_ENDIAN)
                    .putLong(value)
                    .array());
            return this;
        }

        public Bytes float32(double value) {
            return int32(Float.floatToRawIntBits((float) value));
        }

        public Bytes string(String text) {
            byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
            int64(bytes.length);
            return raw(bytes);
        }

        public Bytes raw(byte[] bytes) {
            out.writeBytes(bytes);
            return this;
        }

        public int size() {
            return out.size();
        }

        public byte[] array() {
            return out.toByteArray();
        }
    }

    public GgufWriter version(int number) {
        version = number;
        return this;
    }

    /** Where tensors begin; writes the key too. */
    public GgufWriter alignment(int bytes) {
        alignment = bytes;
        return uint32("general.alignment", bytes);
    }

    public GgufWriter entry(String key, int type, Bytes value) {
        entries.string(key).int32(type).raw(value.array());
        entryCount++;
        return this;
    }

    public GgufWriter uint32(String key, long value) {
        return entry(key, UINT32, new Bytes().int32(value));
    }

    public GgufWriter float32(String key, double value) {
        return entry(key, FLOAT32, new Bytes().float32(value));
    }

    public GgufWriter bool(String key, boolean value) {
        return entry(key, BOOL, new Bytes().int8(value ? 1 : 0));
    }

    public GgufWriter string(String key, String value) {
        return entry(key, STRING, new Bytes().string(value));
    }

    public GgufWriter strings(String key, List<String> values) {
        Bytes array = new Bytes().int32(STRING).int64(values.size());
        values.forEach(array::string);
        return entry(key, ARRAY, array);
    }

    public GgufWriter integers(String key, int... values) {
        Bytes array = new Bytes().int32(INT32).int64(values.length);
        for (int value : values) {
            array.int32(value);
        }
        return entry(key, ARRAY, array);
    }

    public GgufWriter floats(String key, float... values) {
        Bytes array = new Bytes().int32(FLOAT32).int64(values.length);
        for (float value : values) {
            array.float32(value);
        }
        return entry(key, ARRAY, array);
    }

    /**
     * A tensor behind the ones before it.
     *
     * @param shape extents, outermost first; written innermost first
     */
    public GgufWriter tensor(String name, int type, long[] shape, byte[] bytes) {
        while (data.size() % alignment != 0) {
            data.int8(0);
        }
        infos.string(name).int32(shape.length);
        for (int i = shape.length - 1; i >= 0; i--) {
            infos.int64(shape[i]);
        }
        infos.int32(type).int64(data.size());
        data.raw(bytes);
        tensorCount++;
        return this;
    }

    /** A tensor entry as it comes, with nothing behind it. */
    public GgufWriter info(String name, long type, long offset, long... fileOrder) {
        infos.string(name).int32(fileOrder.length);
        for (long extent : fileOrder) {
            infos.int64(extent);
        }
        infos.int32(type).int64(offset);
        tensorCount++;
        return this;
    }

    /** The bytes before the data, without padding. */
    public byte[] header() {
        return header(tensorCount, entryCount);
    }

    /** The same with counts that may lie. */
    public byte[] header(long claimedTensors, long claimedEntries) {
        return new Bytes()
                .raw("GGUF".getBytes(StandardCharsets.US_ASCII))
                .int32(version)
                .int64(claimedTensors)
                .int64(claimedEntries)
                .raw(entries.array())
                .raw(infos.array())
                .array();
    }

    /** The whole file. */
    public byte[] build() {
        Bytes file = new Bytes().raw(header());
        while (file.size() % alignment != 0) {
            file.int8(0);
        }
        return file.raw(data.array()).array();
    }
}
