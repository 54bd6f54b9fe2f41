package org.duoattention.core.session;

import java.nio.file.Path;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Requirements;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.core.load.WeightSource;
import org.duoattention.core.model.DecoderWeights;
import org.duoattention.core.model.GenerationConfig;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.model.RopeFrequencies;
import org.duoattention.core.source.ModelSource;
import org.duoattention.core.tokenizer.Tokenizer;

/** Collects how a model is to be opened. For use by one thread. */
public final class ModelBuilder {
    private final Duo duo;
    private final Path path;
    private Optional<String> backend = Optional.empty();
    private final Map<String, String> backendOptions = new HashMap<>();
    private final Set<Capability> capabilities = EnumSet.noneOf(Capability.class);
    private boolean withTokenizer = true;
    private DType ropePrecision = DType.F32;

    ModelBuilder(Duo duo, Path path) {
        this.duo = duo;
        this.path = path;
    }

    /** The backend by id; the usable one of the highest priority unless told otherwise. */
    public ModelBuilder backend(String id) {
        this.backend = Optional.of(id);
        return this;
    }

    /** One of the backend's own options. */
    public ModelBuilder backendOption(String name, String value) {
        backendOptions.put(name, value);
        return this;
    }

    /** A capability that the device must have. */
    public ModelBuilder require(Capability capability) {
        capabilities.add(capability);
        return this;
    }

    /** Leaves the tokenizer alone even when there is one; the model then takes token ids only. */
    public ModelBuilder withoutTokenizer() {
        this.withTokenizer = false;
        return this;
    }

    /**
     * Rounds the inverse frequencies of RoPE to F16 or BF16, to reproduce a run of a model that was cast to half precision
     * buffers and all; F32, as transformers keeps them, unless told otherwise.
     */
    public ModelBuilder ropePrecision(DType precision) {
        this.ropePrecision = precision;
        return this;
    }

    /**
     * Opens the files, the tokenizer if there is one, and the device, and adopts the weights.
     *
     * @throws org.duoattention.core.DuoException when a file is missing or malformed, the model is not supported, or no
     *     backend can run it; nothing stays open then
     */
    public Model open() {
        Closer closer = new Closer();
        try {
            ModelSource source = closer.add(ModelSources.at(path));
            ModelConfig config = source.config();
            GenerationConfig generation = source.generationConfig();
            WeightSource weightSource = source.weights();
            Set<Capability> needed = EnumSet.copyOf(capabilities);
            if (weightSource.isQuantized()) {
                needed.add(Capability.QUANTIZED_WEIGHTS);
            }
            Requirements requirements =
                    new Requirements(source.name(), config.shape(), weightSource.dtypes(), BlockFormat.F16, needed);
            Optional<Tokenizer> tokenizer = withTokenizer ? source.tokenizer() : Optional.empty();
            tokenizer.ifPresent(closer::add);
            RopeFrequencies rope =
                    new RopeFrequencies(config.rope(), config.shape().headDim(), ropePrecision);
            Device device = closer.add(duo.backends().open(requirements, backend, backendOptions));
            DecoderWeights weights = closer.add(new DecoderWeights(device, weightSource, config));
            return new Model(duo, source, config, rope, generation, tokenizer, device, weights, requirements, closer);
        } catch (RuntimeException | Error e) {
            try {
                closer.close();
            } catch (RuntimeException suppressed) {
                e.addSuppressed(suppressed);
            }
            throw e;
        }
    }
}
