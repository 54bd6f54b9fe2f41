package org.duoattention.quant.checkpoint;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.LinkedHashMap;
import java.util.Map;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.quant.weight.QuantizedRows;

/**
 * One quantised matrix as the tensors of the {@code pack-quantized} format of compressed-tensors, which vLLM and
 * transformers read:
 *
 * <ul>
 *   <li>{@code weight_packed}, I32 {@code [rows, columns * bits / 32]}: unsigned codes, the first in the lowest bits
 *   <li>{@code weight_scale}, F16 {@code [rows, groups]}
 *   <li>{@code weight_zero_point}, I32 {@code [rows * bits / 32, groups]}, when asymmetric: the codes that stand for zero,
 *       packed along the rows
 *   <li>{@code weight_shape}, I64 {@code [2]}
 * </ul>
 *
 * <p>Rows are appended in pieces, so that memory does not grow with the matrix. One thread at a time.
 */
public final class PackedMatrix {
    private final String module;
    private final BlockFormat.Grouped format;
    private final long rows;
    private final long columns;
    private long done;

    /**
     * A matrix to be written.
     *
     * @param module name of the layer: its tensors are called {@code module.weight_packed} and so on
     * @param format bits, group and symmetry
     * @param rows outputs of the layer
     * @param columns inputs of the layer
     * @throws IllegalArgumentException when the group does not divide a row or a row is not whole 32-bit words; the message
     *     is the end of a sentence that starts with the tensor's name
     */
    public PackedMatrix(String module, BlockFormat.Grouped format, long rows, long columns) {
        if (columns % format.group() != 0) {
            throw new IllegalArgumentException(
                    "has rows of " + columns + ", which groups of " + format.group() + " do not divide");
        }
        if (columns * format.bits() % 32 != 0) {
            throw new IllegalArgumentException("has rows of " + columns
                    + ", which do not fill 32-bit words with codes of " + format.bits() + " bits");
        }
        this.module = module;
        this.format = format;
        this.rows = rows;
        this.columns = columns;
    }

    /** Rows that share a word of zero points: pieces of other than the last rows hold a multiple of it. */
    public int rowMultiple() {
        return 32 / format.bits();
    }

    /** Names and shapes of the tensors. */
    public Map<String, TensorSpec> tensors() {
        Map<String, TensorSpec> specs = new LinkedHashMap<>();
        long groups = columns / format.group();
        specs.put(module + ".weight_packed", TensorSpec.of(DType.I32, rows, columns * format.bits() / 32));
        specs.put(module + ".weight_scale", TensorSpec.of(DType.F16, rows, groups));
        if (format.asymmetric()) {
            specs.put(
                    module + ".weight_zero_point",
                    TensorSpec.of(DType.I32, Math.ceilDiv(rows * format.bits(), 32), groups));
        }
        specs.put(module + ".weight_shape", TensorSpec.of(DType.I64, 2));
        return specs;
    }

    /**
     * Appends the next rows; the last ones complete the matrix.
     *
     * @param piece a multiple of {@link #rowMultiple} rows, or all that are left
     */
    public void append(SafetensorsWriter writer, QuantizedRows piece) throws IOException {
        if (!piece.format().equals(format)
                || piece.columns() != columns
                || piece.rows() > rows - done
                || piece.rows() % rowMultiple() != 0 && piece.rows() != rows - done) {
            throw new IllegalArgumentException(piece.rows() + " rows of " + piece.columns() + " in " + piece.format()
                    + " do not continue " + module + " at row " + done + " of " + rows);
        }
        if (done == 0) {
            writer.append(module + ".weight_shape", longs(rows, columns));
        }
        writer.append(module + ".weight_packed", ByteBuffer.wrap(piece.codes()));
        ByteBuffer scales = ByteBuffer.allocate(2 * piece.scales().length).order(ByteOrder.LITTLE_ENDIAN);
        scales.asShortBuffer().put(piece.scales());
        writer.append(module + ".weight_scale", scales);
        if (format.asymmetric()) {
            writer.append(module + ".weight_zero_point", packedZeros(piece));
        }
        done += piece.rows();
    }

    private ByteBuffer packedZeros(QuantizedRows piece) {
        int groups = piece.groups();
        int perWord = rowMultiple();
        int words = Math.ceilDiv(piece.rows(), perWord);
        int[] packed = new int[words * groups];
        for (int row = 0; row < piece.rows(); row++) {
            for (int group = 0; group < groups; group++) {
                packed[row / perWord * groups + group] |=
                        (piece.zeros()[row * groups + group] & 0xff) << row % perWord * format.bits();
            }
        }
        ByteBuffer bytes = ByteBuffer.allocate(4 * packed.length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asIntBuffer().put(packed);
        return bytes;
    }

    private static ByteBuffer longs(long... values) {
        ByteBuffer bytes = ByteBuffer.allocate(8 * values.length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asLongBuffer().put(values);
        return bytes;
    }
}
