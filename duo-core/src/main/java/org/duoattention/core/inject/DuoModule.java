package org.duoattention.core.inject;

import com.google.inject.AbstractModule;
import com.google.inject.Provides;
import com.google.inject.Singleton;
import org.duoattention.api.cache.KVCachePolicy;
import org.duoattention.api.head.HeadMaskSource;
import org.duoattention.core.session.Duo;
import org.duoattention.core.spi.Backends;
import org.duoattention.core.spi.ProviderRegistry;

/** Binds {@link Duo} and its parts for applications that use Guice; each part can be overridden. */
public final class DuoModule extends AbstractModule {
    @Provides
    @Singleton
    Backends backends() {
        return Backends.load();
    }

    @Provides
    @Singleton
    ProviderRegistry<KVCachePolicy> policies() {
        return Duo.loadPolicies();
    }

    @Provides
    @Singleton
    ProviderRegistry<HeadMaskSource> headMaskSources() {
        return Duo.loadHeadMaskSources();
    }

    @Provides
    @Singleton
    Duo duo(
            Backends backends,
            ProviderRegistry<KVCachePolicy> policies,
            ProviderRegistry<HeadMaskSource> headMaskSources) {
        return new Duo(backends, policies, headMaskSources);
    }
}
