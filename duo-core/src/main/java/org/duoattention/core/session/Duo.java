package org.duoattention.core.session;

import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.ServiceLoader;
import org.duoattention.api.backend.Requirements;
import org.duoattention.api.cache.KVCachePolicy;
import org.duoattention.api.head.HeadMaskSource;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.spi.Backends;
import org.duoattention.core.spi.ProviderRegistry;

/**
 * The way in: opens models with the backends, cache policies and head mask sources that are on the path.
 *
 * <pre>{@code
 * try (Model model = Duo.create().model(Path.of("checkpoint")).open();
 *         Session session = model.session().policy("duo").heads("pattern", Map.of("directory", "heads")).open()) {
 *     session.prefill(book + question);
 *     session.generate(GenerationRequest.greedy(64)).forEach(System.out::println);
 * }
 * }</pre>
 *
 * <p>Immutable and safe to share. {@code org.duoattention.core.inject.DuoModule} provides one to Guice.
 */
public final class Duo {
    private final Backends backends;
    private final ProviderRegistry<KVCachePolicy> policies;
    private final ProviderRegistry<HeadMaskSource> headMaskSources;

    /** From given parts. */
    public Duo(
            Backends backends,
            ProviderRegistry<KVCachePolicy> policies,
            ProviderRegistry<HeadMaskSource> headMaskSources) {
        this.backends = backends;
        this.policies = policies;
        this.headMaskSources = headMaskSources;
    }

    /** With everything that the service loader finds through the context class loader. */
    public static Duo create() {
        return new Duo(Backends.load(), loadPolicies(), loadHeadMaskSources());
    }

    /** The cache policies that the service loader finds. */
    public static ProviderRegistry<KVCachePolicy> loadPolicies() {
        return ProviderRegistry.load("policy", ServiceLoader.load(KVCachePolicy.class), KVCachePolicy::name);
    }

    /** The head mask sources that the service loader finds. */
    public static ProviderRegistry<HeadMaskSource> loadHeadMaskSources() {
        return ProviderRegistry.load(
                "head mask source", ServiceLoader.load(HeadMaskSource.class), HeadMaskSource::name);
    }

    /** Begins to open the model at a path: a checkpoint directory, a GGUF file, or a directory that holds one of those. */
    public ModelBuilder model(Path path) {
        return new ModelBuilder(this, path);
    }

    /**
     * Plans sessions of a model without its weights.
     *
     * @param config the configuration
     * @param requirements what the weights need of a backend, and the model's name
     * @param backend the backend by id; the usable one of the highest priority when empty
     * @param options the backend's own options
     * @throws org.duoattention.core.DuoException when no backend can run it, or it refuses the options
     */
    public Planner planner(
            ModelConfig config, Requirements requirements, Optional<String> backend, Map<String, String> options) {
        return new Planner(this, config, requirements, backend, options);
    }

    /** The backends. */
    public Backends backends() {
        return backends;
    }

    /** The cache policies. */
    public ProviderRegistry<KVCachePolicy> policies() {
        return policies;
    }

    /** The head mask sources. */
    public ProviderRegistry<HeadMaskSource> headMaskSources() {
        return headMaskSources;
    }
}
