package org.duoattention.core.load;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Optional;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.Quoted;

/** A layer whose matrix is packed in several tensors: its extents, and access to its parts with everything checked. */
final class PackedLayer {
    static final ValueLayout.OfByte I8 = ValueLayout.JAVA_BYTE;
    static final ValueLayout.OfShort I16 = ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    static final ValueLayout.OfInt I32 = ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    static final ValueLayout.OfLong I64 = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final StoredTensors tensors;
    private final String module;
    private final long rows;
    private final long columns;
    private final int bits;
    private final int group;
    private final String reason;

    /**
     * A layer.
     *
     * @param group numbers that share a scale; 0 for the whole row
     * @param codes suffix of the tensor of codes, for messages
     * @param reason what asks for these extents, for messages
     * @throws DuoException when the group does not divide the row
     */
    PackedLayer(
            StoredTensors tensors,
            String module,
            long rows,
            long columns,
            int bits,
            int group,
            String codes,
            String reason) {
        this.tensors = tensors;
        this.module = module;
        this.rows = rows;
        this.columns = columns;
        this.bits = bits;
        this.group = group == 0 ? Math.toIntExact(columns) : group;
        this.reason = reason;
        if (columns % this.group != 0 || this.group % 2 != 0) {
            throw StoredTensors.problem(
                    module + codes,
                    tensors.find(module + codes).orElseThrow(),
                    "has rows of " + columns + " in groups of " + this.group
                            + ", expected groups of an even size that divides the row");
        }
    }

    long rows() {
        return rows;
    }

    long columns() {
        return columns;
    }

    int bits() {
        return bits;
    }

    /** Groups per row. */
    long groups() {
        return columns / group;
    }

    BlockFormat.Grouped format(boolean asymmetric, DType scaleType) {
        return new BlockFormat.Grouped(bits, group, asymmetric, scaleType);
    }

    Optional<StoredTensor> find(String suffix) {
        return tensors.find(module + suffix);
    }

    /** A part of the layer of a given type and shape. */
    StoredTensor require(String suffix, String types, long... shape) {
        return tensors.require(module + suffix, reason, types, shape);
    }

    /** Refuses a layer that has a dense matrix beside the packed one. */
    void requireAlone(String codes) {
        if (tensors.has(module + ".weight")) {
            throw problem(
                    codes,
                    find(codes).orElseThrow(),
                    "lies beside " + Quoted.of(module) + ".weight; expected one of them");
        }
    }

    DuoException problem(String suffix, StoredTensor tensor, String fault) {
        return StoredTensors.problem(module + suffix, tensor, fault);
    }

    /** Refuses a group index other than one group after the other: rows in an order of activations. */
    void requireOrdered(String suffix) {
        StoredTensor index = require(suffix, "I32", columns);
        MemorySegment data = index.data();
        for (long i = 0; i < columns; i++) {
            int actual = data.get(I32, 4 * i);
            if (actual != i / group) {
                throw problem(
                        suffix,
                        index,
                        "puts input " + i + " into group " + actual + ", expected " + i / group
                                + "; weights in activation order (desc_act, actorder) are not supported, use a checkpoint"
                                + " without it");
            }
        }
    }
}
