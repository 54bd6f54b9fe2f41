package org.duoattention.core.load.gguf;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalLong;
import java.util.Set;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.Quoted;
import org.jspecify.annotations.Nullable;

/**
 * The metadata of a file by key, with typed access. Any integer type does for an integer and any floating or integer type
 * for a number, as writers differ. A value of the wrong kind or out of range is a {@link DuoException} that names file,
 * key, value and what was expected.
 */
final class GgufMetadata {
    /** The limit of the format is 65,535 bytes; real keys are far shorter. */
    private static final int MAX_KEY_BYTES = 65_535;

    private static final int MAX_ENTRIES = 100_000;
    private static final int MAX_STRING_BYTES = 16 << 20;
    /** Tokens and merges are short; bounds what a hostile vocabulary can cost. */
    private static final int MAX_ELEMENT_BYTES = 1 << 16;
    /** Key length, type and the smallest value. */
    private static final int LEAST_ENTRY_BYTES = 8 + 4 + 1;

    private final Path file;
    private final MemorySegment data;
    private final Map<String, GgufValue> values;

    private GgufMetadata(Path file, MemorySegment data, Map<String, GgufValue> values) {
        this.file = file;
        this.data = data;
        this.values = values;
    }

    /** Reads {@code count} entries at the cursor. */
    static GgufMetadata scan(GgufCursor cursor, long count) {
        if (count > MAX_ENTRIES || count > cursor.remaining() / LEAST_ENTRY_BYTES) {
            throw new DuoException(cursor.file() + ": claims " + Long.toUnsignedString(count)
                    + " metadata entries, which its " + cursor.data().byteSize()
                    + " bytes cannot hold or which are more than " + MAX_ENTRIES
                    + "; the file is damaged or truncated, download it again");
        }
        Map<String, GgufValue> values = new LinkedHashMap<>();
        for (long i = 0; i < count; i++) {
            String key = cursor.string(MAX_KEY_BYTES, "metadata key " + i);
            if (values.put(key, GgufValue.scan(cursor, key)) != null) {
                throw new DuoException(cursor.file() + ": the metadata key " + Quoted.of(key)
                        + " occurs twice; the file is damaged, download it again");
            }
        }
        return new GgufMetadata(cursor.file(), cursor.data(), values);
    }

    /** The file, for messages. */
    Path file() {
        return file;
    }

    Set<String> keys() {
        return values.keySet();
    }

    boolean has(String key) {
        return values.containsKey(key);
    }

    /** Elements of an array; 0 when absent. */
    long length(String key) {
        GgufValue value = values.get(key);
        return value == null ? 0 : value.count();
    }

    /** An integer between {@code min} and {@code max}, if there is one. */
    OptionalLong integer(String key, long min, long max) {
        GgufValue value = values.get(key);
        if (value == null) {
            return OptionalLong.empty();
        }
        if (value.isArray() || !value.type().isInteger()) {
            throw wrongKind(key, value, range(min, max));
        }
        long integer = integerAt(value.type(), cursor(value), key);
        boolean wrapped = value.type() == GgufValueType.UINT64 && integer < 0;
        if (wrapped || integer < min || integer > max) {
            throw problem(key, wrapped ? Long.toUnsignedString(integer) : String.valueOf(integer), range(min, max));
        }
        return OptionalLong.of(integer);
    }

    /** An integer that must be there. */
    int requiredInteger(String key, int min, int max) {
        return (int) integer(key, min, max).orElseThrow(() -> missing(key, range(min, max)));
    }

    /** A finite number between {@code min} and {@code max}, if there is one. */
    OptionalDouble number(String key, double min, double max) {
        GgufValue value = values.get(key);
        if (value == null) {
            return OptionalDouble.empty();
        }
        String expected = "a number from " + min + " to " + max;
        if (value.isArray() || !value.type().isFloating() && !value.type().isInteger()) {
            throw wrongKind(key, value, expected);
        }
        GgufCursor cursor = cursor(value);
        double number = switch (value.type()) {
            case FLOAT32 -> Float.intBitsToFloat(cursor.int32(key));
            case FLOAT64 -> Double.longBitsToDouble(cursor.int64(key));
            default -> integerAt(value.type(), cursor, key);
        };
        // Both comparisons fail for NaN.
        if (!(number >= min && number <= max)) {
            throw problem(key, String.valueOf(number), expected);
        }
        return OptionalDouble.of(number);
    }

    /** A boolean, or the default when absent. */
    boolean bool(String key, boolean byDefault) {
        GgufValue value = values.get(key);
        if (value == null) {
            return byDefault;
        }
        if (value.isArray() || value.type() != GgufValueType.BOOL) {
            throw wrongKind(key, value, "a bool");
        }
        int stored = cursor(value).int8(key);
        if (stored != 0 && stored != 1) {
            throw problem(key, String.valueOf(stored), "0 or 1");
        }
        return stored == 1;
    }

    /** A string, if there is one. */
    Optional<String> string(String key) {
        GgufValue value = values.get(key);
        if (value == null) {
            return Optional.empty();
        }
        if (value.isArray() || value.type() != GgufValueType.STRING) {
            throw wrongKind(key, value, "a string");
        }
        return Optional.of(cursor(value).string(MAX_STRING_BYTES, Quoted.of(key)));
    }

    /** An array of strings; empty when absent. */
    List<String> strings(String key, int maxCount) {
        GgufValue value = array(key, maxCount, "strings");
        if (value == null) {
            return List.of();
        }
        if (value.type() != GgufValueType.STRING) {
            throw wrongKind(key, value, "an array of strings");
        }
        GgufCursor cursor = cursor(value);
        List<String> strings = new ArrayList<>();
        for (int i = 0; i < value.count(); i++) {
            strings.add(cursor.string(MAX_ELEMENT_BYTES, "element " + i + " of " + key));
        }
        return strings;
    }

    /** An array of integers that fit 32 bits; empty when absent. */
    int[] integers(String key, int maxCount) {
        GgufValue value = array(key, maxCount, "integers");
        if (value == null) {
            return new int[0];
        }
        if (!value.type().isInteger()) {
            throw wrongKind(key, value, "an array of integers");
        }
        GgufCursor cursor = cursor(value);
        int[] integers = new int[(int) value.count()];
        for (int i = 0; i < integers.length; i++) {
            long integer = integerAt(value.type(), cursor, key);
            if (integer != (int) integer) {
                throw problem(key, "element " + i + " with the value " + integer, "integers of 32 bits");
            }
            integers[i] = (int) integer;
        }
        return integers;
    }

    /** An array of finite floats; empty when absent. */
    float[] floats(String key, int maxCount) {
        GgufValue value = array(key, maxCount, "numbers");
        if (value == null) {
            return new float[0];
        }
        if (value.type() != GgufValueType.FLOAT32) {
            throw wrongKind(key, value, "an array of float32");
        }
        GgufCursor cursor = cursor(value);
        float[] floats = new float[(int) value.count()];
        for (int i = 0; i < floats.length; i++) {
            floats[i] = Float.intBitsToFloat(cursor.int32(key));
            if (!Float.isFinite(floats[i])) {
                throw problem(key, "element " + i + " with the value " + floats[i], "finite numbers");
            }
        }
        return floats;
    }

    private @Nullable GgufValue array(String key, int maxCount, String of) {
        GgufValue value = values.get(key);
        if (value == null) {
            return null;
        }
        if (!value.isArray()) {
            throw wrongKind(key, value, "an array of " + of);
        }
        if (value.count() > maxCount) {
            throw problem(key, "an array of " + value.count(), "at most " + maxCount + " elements");
        }
        return value;
    }

    private GgufCursor cursor(GgufValue value) {
        return new GgufCursor(file, data, value.position());
    }

    private static long integerAt(GgufValueType type, GgufCursor cursor, String key) {
        return switch (type) {
            case UINT8 -> cursor.int8(key) & 0xff;
            case INT8 -> cursor.int8(key);
            case UINT16 -> cursor.int16(key) & 0xffff;
            case INT16 -> cursor.int16(key);
            case UINT32 -> cursor.uint32(key);
            case INT32 -> cursor.int32(key);
            default -> cursor.int64(key);
        };
    }

    private static String range(long min, long max) {
        return "an integer from " + min + " to " + max;
    }

    private DuoException wrongKind(String key, GgufValue value, String expected) {
        return problem(
                key, (value.isArray() ? "an array of " : "a ") + value.type().label(), expected);
    }

    /** An error about a key that is absent. */
    DuoException missing(String key, String expected) {
        return new DuoException(file + ": " + Quoted.of(key) + " is missing from the metadata; expected " + expected
                + ", convert the model again with a current converter");
    }

    /** An error about a value: file, key, the value and what was expected. */
    DuoException problem(String key, String shown, String expected) {
        return new DuoException(file + ": " + Quoted.of(key) + " is " + Quoted.of(shown) + ", expected " + expected
                + "; take another" + " conversion of the model");
    }
}
