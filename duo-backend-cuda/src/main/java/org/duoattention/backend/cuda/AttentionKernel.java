package org.duoattention.backend.cuda;

import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;

/**
 * Which kernel computes an attention, and what a block of it takes.
 *
 * @param form the way it is computed
 * @param name entry point
 * @param rows most query rows of a block; a row is a token and one of the query heads that read a KV head
 * @param threads threads of a block
 * @param sharedBytes dynamic shared memory of a block
 * @param blocks how many blocks run on a multiprocessor at a time; where slots are split, it is into so many parts that all
 *     begin and end together
 */
record AttentionKernel(Form form, String name, int rows, int threads, int sharedBytes, int blocks) {
    /** The ways to compute an attention, each a source file. */
    enum Form {
        /** In F32, for any head: {@code attention_simt.cu}. */
        SIMT("attention_simt"),
        /** On the tensor cores, few rows over many slots: {@code attention_decode.cu}. */
        DECODE("attention_decode"),
        /** On the tensor cores, many rows: {@code attention_prefill.cu}. */
        PREFILL("attention_prefill");

        private final String source;

        Form(String source) {
            this.source = source;
        }

        String source() {
            return source;
        }
    }

    private static final int SIMT_ROWS = 16;
    private static final int SIMT_TILE = 32;
    private static final int DECODE_ROWS = 8;
    /** Rows up to which reading the slots once more, from the second-level cache, is cheaper than a tile of idle rows. */
    private static final int DENSE_DECODE_ROWS = 16;
    /** As {@link #DENSE_DECODE_ROWS}, where a tile costs twice the products and its codes are widened first. */
    private static final int QUANTIZED_DECODE_ROWS = 32;

    private static final int PREFILL_ROWS = 128;

    /**
     * The kernel for a format and head size, and so many query rows.
     *
     * @param exact whether queries and probabilities are not to be rounded; those over a quantised cache never are
     * @param mostShared most shared memory that a block of the device may have
     */
    static AttentionKernel choose(BlockFormat format, int dim, long rows, boolean exact, int mostShared) {
        int groups = tensorGroups(format, dim);
        if (groups == 0 || exact && format instanceof BlockFormat.Dense) {
            return simt(format, dim);
        }
        String variant =
                SlabOperations.suffix(format) + "_" + dim + (format instanceof BlockFormat.Grouped ? "_" + groups : "");
        boolean dense = format instanceof BlockFormat.Dense;
        // A lane's share of a row of 4-bit values in groups of 32 is less than a word.
        boolean small = format instanceof BlockFormat.Grouped grouped && grouped.bits() == 4 && grouped.group() < 64;
        if (rows <= (dense ? DENSE_DECODE_ROWS : QUANTIZED_DECODE_ROWS) && !small) {
            boolean wide = dim == 128 && (dense || groups == 4);
            return new AttentionKernel(Form.DECODE, "decode_" + variant, DECODE_ROWS, 128, 0, wide ? 2 : 3);
        }
        int shared = prefillSharedBytes(format, dim, groups);
        if (rows <= SIMT_ROWS && small || shared > mostShared) {
            return simt(format, dim);
        }
        return new AttentionKernel(
                Form.PREFILL, "prefill_" + variant, PREFILL_ROWS, dense ? 128 : 256, shared, dense ? 2 : 1);
    }

    /** Groups of a row that the tensor-core kernels are made for; 1 for a dense row, 0 when they are not. */
    private static int tensorGroups(BlockFormat format, int dim) {
        if (dim != 64 && dim != 128) {
            return 0;
        }
        return switch (format) {
            case BlockFormat.Dense(DType dtype) -> dtype == DType.F32 ? 0 : 1;
            case BlockFormat.Grouped grouped -> grouped.group() % 32 == 0 ? dim / grouped.group() : 0;
        };
    }

    private static AttentionKernel simt(BlockFormat format, int dim) {
        int floats = SIMT_ROWS * dim + SIMT_TILE * (2 * dim + 1) + SIMT_ROWS * SIMT_TILE + 3 * SIMT_ROWS;
        return new AttentionKernel(
                Form.SIMT, "attend_simt_" + SlabOperations.suffix(format), SIMT_ROWS, 256, Float.BYTES * floats, 2);
    }

    /** As {@code Prefill::place} of the kernel lays it out. */
    private static int prefillSharedBytes(BlockFormat format, int dim, int groups) {
        int queries = PREFILL_ROWS * dim * 2;
        if (!(format instanceof BlockFormat.Grouped grouped)) {
            int tile = dim == 128 ? 48 : 64;
            return queries + 2 * 2 * tile * dim * 2 + Float.BYTES * PREFILL_ROWS;
        }
        int tile = groups == 4 ? 32 : 64;
        int tiles = 2 * tile * dim * 2;
        int codes = 2 * tile * dim * grouped.bits() / 8;
        int scales = 2 * tile * groups * 4;
        return 2 * queries + tiles + codes + scales + Float.BYTES * PREFILL_ROWS * (1 + groups);
    }

    /** Whether results always lie in parts, even when there is one part. */
    boolean alwaysMerges() {
        return form == Form.DECODE;
    }
}
