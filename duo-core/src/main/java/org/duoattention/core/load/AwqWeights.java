package org.duoattention.core.load;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.core.json.JsonObject;

/**
 * Checkpoints of AutoAWQ (casper-hansen/AutoAWQ, {@code gemm} layout): {@code qweight} I32 {@code [in, out / 8]}, whose
 * words hold the codes of eight neighbouring outputs in the order 0, 2, 4, 6, 1, 3, 5, 7 from the lowest bits up; {@code
 * qzeros} I32 {@code [groups, out / 8]} likewise; {@code scales} F16 {@code [groups, out]}. A number is {@code (code -
 * zero) * scale}.
 */
final class AwqWeights implements Packing {
    private static final String CODES = ".qweight";
    private static final String ZEROS = ".qzeros";
    private static final String SCALES = ".scales";
    private static final int BITS = 4;
    private static final int PER_WORD = 8;
    /** The output that the k-th four bits of a word belong to. */
    private static final int[] OUTPUT = {0, 2, 4, 6, 1, 3, 5, 7};
    /** Where the four bits of the k-th output of a word begin. */
    private static final int[] SHIFT = {0, 16, 4, 20, 8, 24, 12, 28};
    /** Inputs that are transposed at a time, so that the lines of memory that are read stay in the cache. */
    private static final int TILE = 64;

    private final int group;

    private AwqWeights(int group) {
        this.group = group;
    }

    static Packing read(JsonObject config) {
        PackedConfig.bits(config, List.of("bits", "w_bit"), List.of(BITS));
        PackedConfig.require(config, "version", "gemm");
        return new AwqWeights(PackedConfig.group(config, List.of("group_size", "q_group_size")));
    }

    @Override
    public boolean isMatrix(String name) {
        return name.endsWith(CODES);
    }

    @Override
    public Optional<QuantizedMatrix> find(StoredTensors tensors, String module, long rows, long columns, Arena arena) {
        if (!tensors.has(module + CODES)) {
            return Optional.empty();
        }
        PackedLayer layer = new PackedLayer(
                tensors,
                module,
                rows,
                columns,
                BITS,
                group,
                CODES,
                "awq, config.json asks for " + rows + " x " + columns);
        layer.requireAlone(CODES);
        long words = rows / PER_WORD;
        StoredTensor codes = layer.require(CODES, "I32", columns, words);
        if (rows % PER_WORD != 0) {
            throw layer.problem(CODES, codes, "has " + rows + " outputs, expected a multiple of " + PER_WORD);
        }
        MemorySegment zeros = layer.require(ZEROS, "I32", layer.groups(), words).data();
        StoredTensor scales = layer.require(SCALES, "F16 BF16 F32", layer.groups(), rows);
        return Optional.of(new LayerScales(layer, SCALES, scales, true)
                .matrix(
                        transposed(codes.data(), rows, columns, arena),
                        (row, index) -> zeros.get(PackedLayer.I32, 4 * (index * words + row / PER_WORD))
                                        >>> SHIFT[(int) (row % PER_WORD)]
                                & 0xf,
                        arena));
    }

    private static MemorySegment transposed(MemorySegment words, long rows, long columns, Arena arena) {
        MemorySegment codes = arena.allocate(rows * columns / 2);
        long perInput = rows / PER_WORD;
        for (long tile = 0; tile < columns; tile += TILE) {
            long end = Math.min(columns, tile + TILE);
            for (long word = 0; word < perInput; word++) {
                for (long input = tile; input < end; input += 2) {
                    int even = words.get(PackedLayer.I32, 4 * (input * perInput + word));
                    int odd = words.get(PackedLayer.I32, 4 * ((input + 1) * perInput + word));
                    for (int k = 0; k < PER_WORD; k++) {
                        long row = word * PER_WORD + OUTPUT[k];
                        int pair = even >>> 4 * k & 0xf | (odd >>> 4 * k & 0xf) << 4;
                        codes.set(PackedLayer.I8, (row * columns + input) / 2, (byte) pair);
                    }
                }
            }
        }
        return codes;
    }
}
