package org.duoattention.core.load.gguf;

import java.util.Locale;
import java.util.Optional;

/** The types of metadata values, in the order of their numbers in the format. */
enum GgufValueType {
    UINT8(1),
    INT8(1),
    UINT16(2),
    INT16(2),
    UINT32(4),
    INT32(4),
    FLOAT32(4),
    BOOL(1),
    STRING(8),
    ARRAY(12),
    UINT64(8),
    INT64(8),
    FLOAT64(8);

    private final int leastBytes;

    GgufValueType(int leastBytes) {
        this.leastBytes = leastBytes;
    }

    /** The type with a number. */
    static Optional<GgufValueType> of(long id) {
        return id >= 0 && id < values().length ? Optional.of(values()[(int) id]) : Optional.empty();
    }

    /** Bytes of a value; of a string or an array without content. */
    int leastBytes() {
        return leastBytes;
    }

    boolean isInteger() {
        return switch (this) {
            case UINT8, INT8, UINT16, INT16, UINT32, INT32, UINT64, INT64 -> true;
            default -> false;
        };
    }

    boolean isFloating() {
        return this == FLOAT32 || this == FLOAT64;
    }

    /** The name for messages. */
    String label() {
        return name().toLowerCase(Locale.ROOT);
    }
}
