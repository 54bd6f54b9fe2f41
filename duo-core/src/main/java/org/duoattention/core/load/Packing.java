package org.duoattention.core.load;

import java.lang.foreign.Arena;
import java.util.Optional;
import org.duoattention.api.tensor.QuantizedMatrix;

/** How a quantised checkpoint stores the matrix of a layer in several tensors. Immutable. */
interface Packing {
    /**
     * The matrix of a layer.
     *
     * @param tensors the checkpoint's tensors
     * @param module name of the layer, for example {@code model.layers.0.self_attn.q_proj}
     * @param rows outputs that config.json asks for
     * @param columns inputs that config.json asks for
     * @param arena what decoded numbers are allocated in
     * @return empty when the layer is not packed
     * @throws org.duoattention.core.DuoException when it is, but not as its shapes and the configuration say
     */
    Optional<QuantizedMatrix> find(StoredTensors tensors, String module, long rows, long columns, Arena arena);

    /** Whether a tensor of this name holds the codes of a packed matrix. */
    boolean isMatrix(String name);
}
