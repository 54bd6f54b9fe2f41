package org.duoattention.identify.distill;

import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.Tensor;

/** Full attention of one layer after another, chunk by chunk, through one slab that retains everything. */
final class FullAttention {
    private final Slab slab;
    private final float scale;

    FullAttention(Slab slab, float scale) {
        this.slab = slab;
        this.scale = scale;
    }

    /** Forgets the keys and values of the layer before. */
    void begin(ComputeStream stream) {
        stream.truncate(slab, 0);
    }

    /** Takes the keys and values of a chunk whose queries nobody asks about. */
    void append(ComputeStream stream, Tensor k, Tensor v) {
        stream.append(slab, k, v);
    }

    /** Takes a chunk and attends. */
    void attend(ComputeStream stream, Tensor q, Tensor k, Tensor v, Tensor out) {
        stream.append(slab, k, v);
        // The mode is about streaming heads; there are none.
        stream.attend(slab, q, scale, PrefillMode.UPSTREAM, out);
    }
}
