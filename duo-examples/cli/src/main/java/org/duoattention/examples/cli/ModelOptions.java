package org.duoattention.examples.cli;

import java.nio.file.Path;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.tensor.DType;
import org.duoattention.core.session.Duo;
import org.duoattention.core.session.Model;
import org.duoattention.core.session.ModelBuilder;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Which backend runs the model, and how exactly. */
final class ModelOptions {
    @Mixin
    private BackendOptions backend = new BackendOptions();

    @Option(
            names = "--rope-precision",
            paramLabel = "f32|f16|bf16",
            converter = Choices.Precision.class,
            defaultValue = "f32",
            description =
                    "Round RoPE frequencies, to reproduce a run of a model that was cast to half precision as a whole"
                            + " (default: ${DEFAULT-VALUE}).")
    private DType ropePrecision = DType.F32;

    Model open(Duo duo, Path directory, Capability... needed) {
        ModelBuilder builder = duo.model(directory).ropePrecision(ropePrecision);
        for (Capability capability : needed) {
            builder.require(capability);
        }
        backend.id().ifPresent(builder::backend);
        backend.options().forEach(builder::backendOption);
        return builder.open();
    }
}
