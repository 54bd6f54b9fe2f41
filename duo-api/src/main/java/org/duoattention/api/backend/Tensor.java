package org.duoattention.api.backend;

import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.TensorSpec;

/**
 * A dense row-major tensor in the memory of a {@link Device}. Opaque: the host moves data with {@link
 * ComputeStream#upload} and {@link ComputeStream#download} only.
 *
 * <p>Owned by whoever got it from the device, who closes it; the device closes what is left. Views from {@link #rows}
 * share the memory, own nothing, and die with their owner.
 */
public interface Tensor extends AutoCloseable {
    /** Element type and shape. A quantised weight is F32 here, the type that its values stand for. */
    TensorSpec spec();

    /**
     * How the elements are stored: plainly, or in groups for a weight that came from {@link
     * Device#adopt(org.duoattention.api.tensor.QuantizedMatrix)}.
     */
    default BlockFormat format() {
        return new BlockFormat.Dense(spec().dtype());
    }

    /**
     * A view of consecutive rows (extents of the first dimension).
     *
     * @throws IndexOutOfBoundsException when the rows do not exist
     * @throws UnsupportedOperationException on a quantised weight
     * @throws IllegalStateException after close
     */
    Tensor rows(long first, long count);

    /** Releases the memory; no effect the second time, or on a view. Work already queued is finished first. */
    @Override
    void close();
}
