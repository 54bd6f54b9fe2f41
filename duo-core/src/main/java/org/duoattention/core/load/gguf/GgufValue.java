package org.duoattention.core.load.gguf;

import org.duoattention.core.DuoException;
import org.duoattention.core.json.Quoted;

/**
 * Where a metadata value lies. Content is decoded when it is asked for, so that a header with large arrays costs no more
 * than its entries.
 *
 * @param type type of the value, or of an array's elements
 * @param isArray whether it is an array
 * @param count elements of an array; 1 otherwise
 * @param position where the value or the first element starts
 */
record GgufValue(GgufValueType type, boolean isArray, long count, long position) {
    private static final int MAX_NESTING = 4;

    /** Reads type and extent of the value at the cursor and passes over it. */
    static GgufValue scan(GgufCursor cursor, String key) {
        String what = "the value of " + Quoted.of(key);
        GgufValueType type = type(cursor, what);
        if (type == GgufValueType.ARRAY) {
            return scanArray(cursor, what, 1);
        }
        GgufValue value = new GgufValue(type, false, 1, cursor.position());
        skip(cursor, type, what);
        return value;
    }

    private static GgufValue scanArray(GgufCursor cursor, String what, int depth) {
        if (depth > MAX_NESTING) {
            throw new DuoException(cursor.file() + ": " + what + " nests arrays more than " + MAX_NESTING
                    + " deep; the file is damaged, download it again");
        }
        GgufValueType element = type(cursor, what);
        long count = cursor.count(element.leastBytes(), "the number of elements of " + what);
        GgufValue array = new GgufValue(element, true, count, cursor.position());
        switch (element) {
            case STRING -> {
                for (long i = 0; i < count; i++) {
                    cursor.skipString(what);
                }
            }
            case ARRAY -> {
                for (long i = 0; i < count; i++) {
                    scanArray(cursor, what, depth + 1);
                }
            }
            default -> cursor.skip(count * element.leastBytes(), what);
        }
        return array;
    }

    private static GgufValueType type(GgufCursor cursor, String what) {
        long id = cursor.uint32("the type of " + what);
        return GgufValueType.of(id)
                .orElseThrow(() -> new DuoException(cursor.file() + ": " + what + " has the type " + id
                        + ", expected 0 to " + (GgufValueType.values().length - 1)
                        + "; the file is damaged, download it again"));
    }

    private static void skip(GgufCursor cursor, GgufValueType type, String what) {
        if (type == GgufValueType.STRING) {
            cursor.skipString(what);
        } else {
            cursor.skip(type.leastBytes(), what);
        }
    }
}
