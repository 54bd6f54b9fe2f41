package org.duoattention.api.head;

import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import org.duoattention.api.model.ModelShape;

/**
 * What a {@link HeadMaskSource} is asked for.
 *
 * @param shape the model that the mask is for
 * @param modelDirectory the checkpoint directory, when the model came from one
 * @param options the source's own options by name, for example {@code directory} and {@code sparsity}
 */
public record HeadMaskRequest(ModelShape shape, Optional<Path> modelDirectory, Map<String, String> options) {
    /** Copies the options. */
    public HeadMaskRequest {
        options = Map.copyOf(options);
    }

    /** A request without a directory or options. */
    public static HeadMaskRequest of(ModelShape shape) {
        return new HeadMaskRequest(shape, Optional.empty(), Map.of());
    }
}
