package org.duoattention.core.quantize;

import java.util.Optional;

/**
 * What becomes of the matrices of a checkpoint.
 *
 * @param linears format of the linear layers within the decoder layers
 * @param head format of {@code lm_head}; kept as it is when empty
 * @param embedding format of the embedding table; kept as it is when empty
 * @param shardBytes largest size of one file of weights
 * @param threads threads that quantise
 */
public record QuantizationSettings(
        MatrixFormat linears,
        Optional<MatrixFormat> head,
        Optional<MatrixFormat> embedding,
        long shardBytes,
        int threads) {
    /** Bytes per file unless said otherwise: what transformers writes. */
    public static final long DEFAULT_SHARD_BYTES = 5_000_000_000L;
}
