package org.duoattention.core.load.gguf;

import java.util.Map;
import java.util.Optional;
import java.util.stream.Collectors;
import org.duoattention.api.tensor.BlockFormat;

/**
 * Turns the blocks of one tensor type into codes, scales and offsets. Every value comes out exactly as the format defines
 * it ({@code dequantize_row_*} in ggml-quants.c of ggml-org/ggml): products of a half-precision scale and the integers of a
 * block fit a float. Stateless.
 */
sealed interface BlockDecoder permits Q4Zero, Q4One, Q8Zero, Q4K, Q5K, Q6K {
    /** The format that the values are stored in after decoding. */
    BlockFormat.Grouped format();

    /**
     * Decodes one block.
     *
     * @param blocks bytes of a row
     * @param at where the block starts in them
     * @param row what the row becomes
     * @param element number of the block's first element in the row
     */
    void decode(byte[] blocks, int at, DecodedRow row, int element);

    /** The decoders by type. */
    Map<GgufType, BlockDecoder> ALL = Map.of(
            GgufType.Q4_0, new Q4Zero(),
            GgufType.Q4_1, new Q4One(),
            GgufType.Q8_0, new Q8Zero(),
            GgufType.Q4_K, new Q4K(),
            GgufType.Q5_K, new Q5K(),
            GgufType.Q6_K, new Q6K());

    /** The decoder of a type, if its values are read. */
    static Optional<BlockDecoder> of(GgufType type) {
        return Optional.ofNullable(ALL.get(type));
    }

    /** The types that are decoded, for messages. */
    static String known() {
        return ALL.keySet().stream().sorted().map(GgufType::name).collect(Collectors.joining(", "));
    }
}
