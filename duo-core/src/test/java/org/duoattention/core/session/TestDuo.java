package org.duoattention.core.session;

import java.util.List;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.core.spi.Backends;
import org.duoattention.core.spi.ProviderRegistry;

/** Duo with one given backend and the policies and mask sources on the path. */
final class TestDuo {
    private TestDuo() {}

    static Duo with(AttentionBackend backend) {
        return new Duo(
                new Backends(ProviderRegistry.of("backend", List.of(backend), AttentionBackend::id)),
                Duo.loadPolicies(),
                Duo.loadHeadMaskSources());
    }
}
