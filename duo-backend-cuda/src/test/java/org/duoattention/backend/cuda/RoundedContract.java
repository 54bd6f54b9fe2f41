package org.duoattention.backend.cuda;

import org.duoattention.api.tensor.DType;
import org.duoattention.tck.AttentionBackendContract;

/** The contract of backends for devices that round the operands of tensor cores, as they do by default. */
abstract class RoundedContract extends AttentionBackendContract {
    /**
     * Tensor cores take both operands of a product in the type of the weight or of the cache: half a unit in the last place
     * of it.
     */
    @Override
    protected double operandRounding(DType stored) {
        return switch (stored) {
            case BF16 -> 0x1p-8;
            case F16 -> 0x1p-11;
            default -> 0;
        };
    }

    /** Inputs are rounded to bfloat16, which is no coarser than 8 bits for whatever number of elements. */
    @Override
    protected int activationGroup() {
        return 1;
    }
}
