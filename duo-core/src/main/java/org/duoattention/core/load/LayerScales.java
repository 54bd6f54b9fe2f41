package org.duoattention.core.load;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.QuantizedMatrix;
import org.duoattention.api.tensor.QuantizedSpec;

/**
 * The scales of a packed layer, and the matrix that they make together with codes and zero points. A scale is finite and
 * not zero, or the checkpoint is refused.
 */
final class LayerScales {
    /** The code that stands for zero in a group. */
    @FunctionalInterface
    interface Zeros {
        int at(long row, long group);
    }

    private final PackedLayer layer;
    private final String suffix;
    private final StoredTensor scales;
    private final boolean transposed;

    /**
     * The scales of a layer.
     *
     * @param scales F16, BF16 or F32, {@code [rows, groups]}, or {@code [groups, rows]} when transposed
     */
    LayerScales(PackedLayer layer, String suffix, StoredTensor scales, boolean transposed) {
        this.layer = layer;
        this.suffix = suffix;
        this.scales = scales;
        this.transposed = transposed;
    }

    /** The matrix with zero points, which is a symmetric one when all of them are the centre. */
    QuantizedMatrix matrix(MemorySegment codes, Zeros zeros, Arena arena) {
        int centre = layer.format(false, DType.F16).centre();
        for (long row = 0; row < layer.rows(); row++) {
            for (long group = 0; group < layer.groups(); group++) {
                if (zeros.at(row, group) != centre) {
                    return asymmetric(codes, zeros, arena);
                }
            }
        }
        return symmetric(codes, arena);
    }

    /** The matrix whose codes are centred. F16 and F32 scales in our order are used where they lie. */
    QuantizedMatrix symmetric(MemorySegment codes, Arena arena) {
        String type = scales.header().type();
        DType kept = type.equals("F16") ? DType.F16 : DType.F32;
        MemorySegment values = scales.data();
        boolean copied = transposed || type.equals("BF16");
        if (copied) {
            values = arena.allocate(layer.rows() * layer.groups() * kept.bytes());
        }
        for (long row = 0, i = 0; row < layer.rows(); row++) {
            for (long group = 0; group < layer.groups(); group++, i++) {
                float scale = checked(row, group);
                if (copied && kept == DType.F16) {
                    values.set(PackedLayer.I16, 2 * i, Float.floatToFloat16(scale));
                } else if (copied) {
                    values.set(PackedLayer.F32, 4 * i, scale);
                }
            }
        }
        return adoptable(layer.format(false, kept), codes, values, MemorySegment.NULL);
    }

    /** The matrix with offsets, in F32, where a zero point times a scale is exact. */
    QuantizedMatrix asymmetric(MemorySegment codes, Zeros zeros, Arena arena) {
        long count = layer.rows() * layer.groups();
        MemorySegment values = arena.allocate(4 * count);
        MemorySegment offsets = arena.allocate(4 * count);
        for (long row = 0, i = 0; row < layer.rows(); row++) {
            for (long group = 0; group < layer.groups(); group++, i++) {
                float scale = checked(row, group);
                float offset = -zeros.at(row, group) * scale;
                if (!Float.isFinite(offset)) {
                    throw layer.problem(
                            suffix,
                            scales,
                            "holds " + scale + " at " + place(row, group) + ", too large for a zero point");
                }
                values.set(PackedLayer.F32, 4 * i, scale);
                offsets.set(PackedLayer.F32, 4 * i, offset);
            }
        }
        return adoptable(layer.format(true, DType.F32), codes, values, offsets);
    }

    private QuantizedMatrix adoptable(
            BlockFormat.Grouped format, MemorySegment codes, MemorySegment values, MemorySegment offsets) {
        return new QuantizedMatrix(new QuantizedSpec(format, layer.rows(), layer.columns()), codes, values, offsets);
    }

    private float checked(long row, long group) {
        long index = transposed ? group * layer.rows() + row : row * layer.groups() + group;
        MemorySegment data = scales.data();
        float scale = switch (scales.header().type()) {
            case "F16" -> Float.float16ToFloat(data.get(PackedLayer.I16, 2 * index));
            case "BF16" -> Float.intBitsToFloat(data.get(PackedLayer.I16, 2 * index) << 16);
            default -> data.get(PackedLayer.F32, 4 * index);
        };
        if (!Float.isFinite(scale) || scale == 0) {
            throw layer.problem(
                    suffix,
                    scales,
                    "holds the scale " + scale + " at " + place(row, group)
                            + "; scales are finite and not zero, download it again");
        }
        return scale;
    }

    private String place(long row, long group) {
        return transposed ? "[" + group + ", " + row + "]" : "[" + row + ", " + group + "]";
    }
}
