package org.duoattention.identify.distill;

import org.duoattention.api.backend.Device;
import org.duoattention.core.model.DecoderWeights;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.model.RopeFrequencies;
import org.duoattention.core.session.Model;

/**
 * A model whose weights do not change. Owns nothing.
 *
 * @param device what it runs on; with {@link org.duoattention.api.backend.Capability#GRADIENTS} and {@link
 *     org.duoattention.api.backend.Capability#ROLLBACK}
 * @param config what it is
 * @param rope its rotations
 * @param weights its weights on the device
 */
public record FrozenModel(Device device, ModelConfig config, RopeFrequencies rope, DecoderWeights weights) {
    /** An open model, which must stay open. */
    public static FrozenModel of(Model model) {
        return new FrozenModel(model.device(), model.config(), model.rope(), model.decoderWeights());
    }
}
