package org.duoattention.backend.cuda;

import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;

/**
 * Which kernel computes an attention, and what a block of it takes.
 *
 * @param form the way it is computed
 * @param name entry point
 * @param rows most query rows of a block; a row is a token and one of the query heads that read a KV head
 * @param sharedBytes dynamic shared memory of a block
 * @param blocks how many blocks run on a multiprocessor at a time; where slots are split, it is into so many parts that all
 *     begin and end together
 */
record AttentionKernel(Form form, String name, int rows, int sharedBytes, int blocks) {
    /** The ways to compute an attention, each a source file. */
    enum Form {
        /** In F32, for any head: {@code attention_simt.cu}. */
        SIMT("attention_simt", 256),
        /** On the tensor cores, few rows over many slots: {@code attention_decode.cu}. */
        DECODE("attention_decode", 128),
        /** On the tensor cores, many rows: {@code attention_prefill.cu}. */
        PREFILL("attention_prefill", 128);

        private final String source;
        private final int threads;

        Form(String source, int threads) {
            this.source = source;
            this.threads = threads;
        }

        String source() {
            return source;
        }

        int threads() {
            return threads;
        }
    }

    private static final int SIMT_ROWS = 16;
    private static final int SIMT_TILE = 32;
    private static final int DECODE_ROWS = 8;
    private static final int PREFILL_ROWS = 64;
    private static final int PREFILL_TILE = 64;

    /** The kernel for a format and head size, and so many query rows. */
    static AttentionKernel choose(BlockFormat format, int dim, long rows) {
        int groups = tensorGroups(format, dim);
        if (groups == 0) {
            return simt(format, dim);
        }
        String variant =
                SlabOperations.suffix(format) + "_" + dim + (format instanceof BlockFormat.Grouped ? "_" + groups : "");
        if (rows > DECODE_ROWS) {
            return new AttentionKernel(
                    Form.PREFILL, "prefill_" + variant, PREFILL_ROWS, prefillSharedBytes(format, dim, groups), 2);
        }
        // A lane's share of a row of 4-bit values in groups of 32 is less than a word.
        boolean small = format instanceof BlockFormat.Grouped grouped && grouped.bits() == 4 && grouped.group() < 64;
        if (small) {
            return simt(format, dim);
        }
        boolean wide = dim == 128 && (format instanceof BlockFormat.Dense || groups == 4);
        return new AttentionKernel(Form.DECODE, "decode_" + variant, DECODE_ROWS, 0, wide ? 2 : 3);
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
                Form.SIMT, "attend_simt_" + SlabOperations.suffix(format), SIMT_ROWS, Float.BYTES * floats, 2);
    }

    /** As {@code Prefill::place} of the kernel lays it out. */
    private static int prefillSharedBytes(BlockFormat format, int dim, int groups) {
        int queries = PREFILL_ROWS * dim * 2;
        int tiles = 2 * PREFILL_TILE * dim * 2;
        if (!(format instanceof BlockFormat.Grouped grouped)) {
            return queries + 2 * tiles + Float.BYTES * PREFILL_ROWS;
        }
        int codes = 2 * PREFILL_TILE * dim * grouped.bits() / 8;
        int scales = 2 * PREFILL_TILE * groups * 4;
        return 2 * queries + tiles + codes + scales + Float.BYTES * PREFILL_ROWS * (1 + groups);
    }

    /** Whether results always lie in parts, even when there is one part. */
    boolean alwaysMerges() {
        return form == Form.DECODE;
    }
}
