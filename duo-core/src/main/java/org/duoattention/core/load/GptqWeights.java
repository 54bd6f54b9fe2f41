package org.duoattention.core.load;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.core.json.JsonObject;

/**
 * Checkpoints of GPTQ (arXiv 2210.17323) as AutoGPTQ and GPTQModel write them: {@code qweight} I32 {@code [in * bits / 32,
 * out]}, whose words hold the codes of neighbouring inputs from the lowest bits up; {@code qzeros} I32 {@code [groups, out *
 * bits / 32]}; {@code scales} F16 {@code [groups, out]}; {@code g_idx} I32 {@code [in]}, the group of each input. A number is
 * {@code (code - zero) * scale}.
 *
 * <p>The older format, {@code gptq}, stores zero points less one: as GPTQModel does, one is added to every field of a word
 * with carries from field to field, which undoes the subtraction with borrows that wrote them. {@code gptq_v2} stores them
 * as they are. A {@code g_idx} that does not put the inputs into groups one after the other is refused.
 */
final class GptqWeights implements Packing {
    private static final String CODES = ".qweight";
    private static final String ZEROS = ".qzeros";
    private static final String SCALES = ".scales";
    private static final String GROUP_INDEX = ".g_idx";
    private static final String FORMAT = "checkpoint_format";
    /** Outputs that are transposed at a time. */
    private static final int TILE = 16;

    private final int bits;
    private final int group;
    private final int addedToZeros;

    private GptqWeights(int bits, int group, int addedToZeros) {
        this.bits = bits;
        this.group = group;
        this.addedToZeros = addedToZeros;
    }

    static Packing read(JsonObject config) {
        int bits = PackedConfig.bits(config, List.of("bits"), List.of(4, 8));
        String format = config.string(FORMAT).orElse("gptq");
        if (!format.equals("gptq") && !format.equals("gptq_v2")) {
            throw config.problem(FORMAT, "gptq or gptq_v2, what is supported");
        }
        PackedConfig.refuse(config, "is_marlin_format", "the marlin layout is not supported");
        PackedConfig.require(config, "pack_dtype", "int32");
        if (config.isSet("dynamic")
                && !config.object("dynamic").orElseThrow().keys().isEmpty()) {
            throw config.problem("dynamic", "nothing; layers with settings of their own are not supported");
        }
        int ones = bits == 4 ? 0x1111_1111 : 0x0101_0101;
        return new GptqWeights(
                bits, PackedConfig.group(config, List.of("group_size")), format.equals("gptq") ? ones : 0);
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
        int perWord = 32 / bits;
        PackedLayer layer = new PackedLayer(
                tensors,
                module,
                rows,
                columns,
                bits,
                group,
                CODES,
                "gptq, config.json asks for " + rows + " x " + columns + " with " + bits + " bits");
        layer.requireAlone(CODES);
        StoredTensor codes = layer.require(CODES, "I32", columns / perWord, rows);
        if (rows % perWord != 0 || columns % perWord != 0) {
            throw layer.problem(
                    CODES, codes, "is for " + rows + " x " + columns + ", expected multiples of " + perWord);
        }
        if (layer.find(GROUP_INDEX).isPresent()) {
            layer.requireOrdered(GROUP_INDEX);
        }
        long words = rows / perWord;
        MemorySegment zeros = layer.require(ZEROS, "I32", layer.groups(), words).data();
        StoredTensor scales = layer.require(SCALES, "F16 BF16 F32", layer.groups(), rows);
        return Optional.of(new LayerScales(layer, SCALES, scales, true)
                .matrix(
                        transposed(codes.data(), columns / perWord, rows, arena),
                        (row, index) -> zeros.get(PackedLayer.I32, 4 * (index * words + row / perWord)) + addedToZeros
                                        >>> (int) (row % perWord) * bits
                                & (1 << bits) - 1,
                        arena));
    }

    /** A word holds consecutive inputs of one output from the lowest bits up, which is our order along a row. */
    private static MemorySegment transposed(MemorySegment words, long wordsPerOutput, long outputs, Arena arena) {
        MemorySegment codes = arena.allocate(4 * wordsPerOutput * outputs);
        for (long tile = 0; tile < outputs; tile += TILE) {
            long end = Math.min(outputs, tile + TILE);
            for (long word = 0; word < wordsPerOutput; word++) {
                for (long output = tile; output < end; output++) {
                    codes.set(
                            PackedLayer.I32,
                            4 * (output * wordsPerOutput + word),
                            words.get(PackedLayer.I32, 4 * (word * outputs + output)));
                }
            }
        }
        return codes;
    }
}
