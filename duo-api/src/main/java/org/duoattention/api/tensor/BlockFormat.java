package org.duoattention.api.tensor;

/**
 * How a row of numbers is stored: plainly, or in groups that share a scale.
 *
 * <p>Byte counts are exact and include scales and zero points; planners and allocators both use them.
 */
public sealed interface BlockFormat {
    /** Bytes of a row of {@code elements} numbers, scales included, without padding. */
    long rowBytes(long elements);

    /** The short name used in options and messages, for example {@code bf16} or {@code int4}. */
    String label();

    /**
     * Plain elements.
     *
     * @param dtype F32, F16 or BF16
     */
    record Dense(DType dtype) implements BlockFormat {
        /** Checks that the type is one that arithmetic is defined for. */
        public Dense {
            if (dtype != DType.F32 && dtype != DType.F16 && dtype != DType.BF16) {
                throw new IllegalArgumentException("a dense format is F32, F16 or BF16, not " + dtype);
            }
        }

        @Override
        public long rowBytes(long elements) {
            return Math.multiplyExact(elements, (long) dtype.bytes());
        }

        @Override
        public String label() {
            return dtype.name().toLowerCase(java.util.Locale.ROOT);
        }
    }

    /**
     * Unsigned integer codes of {@code bits} bits in groups along the row. Each group has a scale, and an offset when
     * asymmetric: the value of a code is {@code offset + code * scale}. A symmetric group has no stored offset; its
     * codes are centred, {@code offset = -2^(bits-1) * scale}.
     *
     * <p>The offset is a value, not a zero point in units of codes: it is exact in F32 for every integer zero point, and
     * products with a whole group need it once.
     *
     * @param bits 4 or 8
     * @param group numbers that share a scale; must divide the row
     * @param asymmetric whether an offset is stored beside the scale
     * @param scaleType type of scale and offset, F16 or F32
     */
    record Grouped(int bits, int group, boolean asymmetric, DType scaleType) implements BlockFormat {
        /** Checks bits, group and scale type. */
        public Grouped {
            if (bits != 4 && bits != 8) {
                throw new IllegalArgumentException("a grouped format has 4 or 8 bits, not " + bits);
            }
            if (group <= 0 || group % 2 != 0) {
                throw new IllegalArgumentException("a group is a positive even number of elements, not " + group);
            }
            if (scaleType != DType.F16 && scaleType != DType.F32) {
                throw new IllegalArgumentException("a scale is F16 or F32, not " + scaleType);
            }
        }

        @Override
        public long rowBytes(long elements) {
            if (elements % group != 0) {
                throw new IllegalArgumentException("groups of " + group + " do not divide a row of " + elements);
            }
            long scales = (long) scaleType.bytes() * (asymmetric ? 2 : 1);
            return Math.addExact(Math.multiplyExact(elements, (long) bits) / 8, elements / group * scales);
        }

        /** The code that stands for zero when the format is symmetric: 8 or 128. */
        public int centre() {
            return 1 << bits - 1;
        }

        /** The largest code: 15 or 255. */
        public int largestCode() {
            return (1 << bits) - 1;
        }

        @Override
        public String label() {
            return "int" + bits;
        }
    }

    /** Plain 32-bit floats. */
    BlockFormat F32 = new Dense(DType.F32);

    /** Plain IEEE half floats. */
    BlockFormat F16 = new Dense(DType.F16);

    /** Plain bfloat16. */
    BlockFormat BF16 = new Dense(DType.BF16);
}
