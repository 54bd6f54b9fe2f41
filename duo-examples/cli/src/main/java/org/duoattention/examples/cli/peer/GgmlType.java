package org.duoattention.examples.cli.peer;

import java.util.Optional;
import org.duoattention.examples.cli.synthetic.WeightFormat;

/** Formats of ggml that stand for the weight formats of a benchmark. */
enum GgmlType {
    /** Plain halves. */
    F16(1, 1, 2, 0, 0x2400),
    /** A scale and 32 codes of 4 bits. */
    Q4_0(2, 32, 18, 2, 0x1c00),
    /** A scale and 32 codes of 8 bits. */
    Q8_0(8, 32, 34, 2, 0x0c00);

    private final int code;
    private final int elements;
    private final int bytes;
    private final int scaleBytes;
    private final int bits;

    GgmlType(int code, int elements, int bytes, int scaleBytes, int bits) {
        this.code = code;
        this.elements = elements;
        this.bytes = bytes;
        this.scaleBytes = scaleBytes;
        this.bits = bits;
    }

    /** The counterpart of a weight format, if there is one. */
    static Optional<GgmlType> of(WeightFormat format) {
        return switch (format.label()) {
            case "f16" -> Optional.of(F16);
            case "int8" -> Optional.of(Q8_0);
            case "int4" -> Optional.of(Q4_0);
            default -> Optional.empty();
        };
    }

    /** The number in a GGUF file. */
    int code() {
        return code;
    }

    /** Elements of a block. */
    int elements() {
        return elements;
    }

    /** Bytes of a block. */
    int blockBytes() {
        return bytes;
    }

    /** Bytes of a number of elements. */
    long bytes(long count) {
        return count / elements * bytes;
    }

    /** Replaces random bytes of a block by what makes its values small: the scale, or the exponent of a half. */
    void tame(byte[] data, int at) {
        if (scaleBytes == 0) {
            data[at + 1] = (byte) (data[at + 1] & 0x83 | bits >> 8);
        } else {
            data[at] = (byte) bits;
            data[at + 1] = (byte) (bits >> 8);
        }
    }
}
