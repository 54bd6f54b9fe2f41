package org.duoattention.core.inject;

import static org.assertj.core.api.Assertions.assertThat;

import com.google.inject.AbstractModule;
import com.google.inject.Guice;
import com.google.inject.Injector;
import com.google.inject.util.Modules;
import java.util.List;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.core.session.Duo;
import org.duoattention.core.spi.Backends;
import org.duoattention.core.spi.ProviderRegistry;
import org.duoattention.tck.OpaqueBackend;
import org.junit.jupiter.api.Test;

class DuoModuleTest {
    @Test
    void wiresWhatIsOnThePathOnce() {
        Injector injector = Guice.createInjector(new DuoModule());
        Duo duo = injector.getInstance(Duo.class);
        assertThat(injector.getInstance(Duo.class)).isSameAs(duo);
        assertThat(duo.policies().find("duo")).isPresent();
        assertThat(duo.backends()).isSameAs(injector.getInstance(Backends.class));
    }

    @Test
    void everyPartCanBeReplaced() {
        Backends only =
                new Backends(ProviderRegistry.of("backend", List.of(new OpaqueBackend()), AttentionBackend::id));
        Injector injector =
                Guice.createInjector(Modules.override(new DuoModule()).with(new AbstractModule() {
                    @Override
                    protected void configure() {
                        bind(Backends.class).toInstance(only);
                    }
                }));
        assertThat(injector.getInstance(Duo.class).backends()).isSameAs(only);
    }
}
