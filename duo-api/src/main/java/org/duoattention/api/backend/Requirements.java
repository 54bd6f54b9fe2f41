package org.duoattention.api.backend;

import java.util.Set;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;

/**
 * What a model and a session need of a backend.
 *
 * @param model the model's name for messages
 * @param shape the model's shape
 * @param weightTypes element types of the weights
 * @param kv storage format of the cache
 * @param capabilities capabilities that must be there
 */
public record Requirements(
        String model, ModelShape shape, Set<DType> weightTypes, BlockFormat kv, Set<Capability> capabilities) {
    /** Copies the sets. */
    public Requirements {
        weightTypes = Set.copyOf(weightTypes);
        capabilities = Set.copyOf(capabilities);
    }
}
