package org.duoattention.core.load;

import java.util.Map;
import java.util.Optional;
import org.duoattention.api.tensor.DType;

/**
 * One entry of a safetensors header, checked for itself: the type is known and the byte range has the size that type
 * and shape ask for.
 *
 * @param type element type as the file spells it
 * @param shape extents, outermost first
 * @param begin first byte, counted from the end of the header
 * @param end byte after the last
 */
record TensorHeader(String type, long[] shape, long begin, long end) {
    private static final int MAX_RANK = 16;

    /** Bits per element of every type of the safetensors format. */
    private static final Map<String, Integer> BITS = Map.ofEntries(
            Map.entry("F64", 64),
            Map.entry("F32", 32),
            Map.entry("F16", 16),
            Map.entry("BF16", 16),
            Map.entry("F8_E4M3", 8),
            Map.entry("F8_E5M2", 8),
            Map.entry("F8_E8M0", 8),
            Map.entry("F8_E4M3FNUZ", 8),
            Map.entry("F8_E5M2FNUZ", 8),
            Map.entry("F6_E2M3", 6),
            Map.entry("F6_E3M2", 6),
            Map.entry("F4", 4),
            Map.entry("C64", 64),
            Map.entry("I64", 64),
            Map.entry("I32", 32),
            Map.entry("I16", 16),
            Map.entry("I8", 8),
            Map.entry("U64", 64),
            Map.entry("U32", 32),
            Map.entry("U16", 16),
            Map.entry("U8", 8),
            Map.entry("BOOL", 8));

    private static final Map<String, DType> WEIGHT_TYPES =
            Map.of("F32", DType.F32, "F16", DType.F16, "BF16", DType.BF16);

    /** The element type when arithmetic is defined for it. */
    Optional<DType> weightType() {
        return Optional.ofNullable(WEIGHT_TYPES.get(type));
    }

    /** What is wrong with the entry, as the end of a sentence that starts with the tensor's name; empty when nothing. */
    Optional<String> fault() {
        Integer bits = BITS.get(type);
        if (bits == null) {
            return Optional.of("has the unknown element type " + type);
        }
        if (shape.length > MAX_RANK) {
            return Optional.of("has " + shape.length + " dimensions, at most " + MAX_RANK + " are read");
        }
        if (begin < 0 || end < begin) {
            return Optional.of("has the data offsets [" + begin + ", " + end + "], expected 0 <= begin <= end");
        }
        long size;
        try {
            size = sizeInBits(bits);
        } catch (ArithmeticException e) {
            return Optional.of("has a shape whose size does not fit 64 bits");
        }
        if (size % 8 != 0 || size / 8 != end - begin) {
            return Optional.of("takes " + size / 8 + " bytes by its shape and type but its data offsets [" + begin
                    + ", " + end + "] span " + (end - begin));
        }
        return Optional.empty();
    }

    private long sizeInBits(int bits) {
        long size = bits;
        // A zero extent makes the size zero, but the others must still be sane: as the reference reader does, the
        // product is formed left to right with overflow checked.
        for (long extent : shape) {
            if (extent < 0) {
                throw new ArithmeticException("negative extent");
            }
            size = Math.multiplyExact(size, extent);
        }
        return size;
    }
}
