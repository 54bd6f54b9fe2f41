package org.duoattention.core.load.gguf;

import java.util.Arrays;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.Quoted;

/**
 * One entry of the tensor list, checked for itself: the type is known, rows are whole blocks, and the size fits 64 bits.
 *
 * @param name name in the file
 * @param type element type
 * @param shape extents, outermost first as everywhere in this project; the file has them innermost first
 * @param offset first byte, counted from the start of the data
 * @param bytes size
 */
record GgufTensorInfo(String name, GgufType type, long[] shape, long offset, long bytes) {
    /** GGML_MAX_DIMS of the format. */
    private static final int MAX_RANK = 4;

    private static final int MAX_NAME_BYTES = 1000;

    /** Name length, rank, one extent, type and offset. */
    static final int LEAST_BYTES = 8 + 4 + 8 + 4 + 8;

    static GgufTensorInfo scan(GgufCursor cursor, long index) {
        String name = cursor.string(MAX_NAME_BYTES, "the name of tensor " + index);
        String tensor = cursor.file() + ": tensor " + Quoted.of(name);
        long rank = cursor.uint32("the rank of tensor " + index);
        if (rank < 1 || rank > MAX_RANK) {
            throw new DuoException(tensor + " has " + rank + " dimensions, expected 1 to " + MAX_RANK
                    + "; the file is damaged, download it again");
        }
        long[] shape = new long[(int) rank];
        for (int i = shape.length - 1; i >= 0; i--) {
            shape[i] = cursor.int64("the shape of tensor " + index);
            if (shape[i] < 1) {
                throw new DuoException(tensor + " has an extent of " + Long.toUnsignedString(shape[i])
                        + ", expected 1 to " + Long.MAX_VALUE + "; the file is damaged, download it again");
            }
        }
        long id = cursor.uint32("the type of tensor " + index);
        GgufType type = GgufType.of(id)
                .orElseThrow(() -> new DuoException(tensor + " has the type number " + id
                        + ", which is not known; use a conversion to F16, Q8_0, Q4_K or the like"));
        long offset = cursor.int64("the offset of tensor " + index);
        long row = shape[shape.length - 1];
        if (row % type.blockElements() != 0) {
            throw new DuoException(tensor + " is " + type + " with rows of " + row + ", expected a multiple of "
                    + type.blockElements() + "; the file is damaged, download it again");
        }
        return new GgufTensorInfo(name, type, shape, offset, bytes(tensor, type, shape));
    }

    private static long bytes(String tensor, GgufType type, long[] shape) {
        try {
            long bytes = Math.multiplyExact(shape[shape.length - 1] / type.blockElements(), (long) type.blockBytes());
            for (int i = 0; i < shape.length - 1; i++) {
                bytes = Math.multiplyExact(bytes, shape[i]);
            }
            return bytes;
        } catch (ArithmeticException e) {
            throw new DuoException(
                    tensor + " has the shape " + Arrays.toString(shape)
                            + ", whose size does not fit 64 bits; the file is damaged, download it again",
                    e);
        }
    }
}
