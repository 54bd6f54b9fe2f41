package org.duoattention.core.spi;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ServiceLoader;
import org.duoattention.api.cache.KVCachePolicy;
import org.duoattention.core.session.Duo;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ProviderRegistryTest {
    @Test
    void aProviderThatFailsToLoadCostsOneLine(@TempDir Path jar) throws IOException {
        Path services = Files.createDirectories(jar.resolve("META-INF/services"));
        Files.writeString(services.resolve(KVCachePolicy.class.getName()), "com.example.Missing\n");
        try (URLClassLoader loader =
                new URLClassLoader(new URL[] {jar.toUri().toURL()}, getClass().getClassLoader())) {
            ProviderRegistry<KVCachePolicy> registry = ProviderRegistry.load(
                    "policy", ServiceLoader.load(KVCachePolicy.class, loader), KVCachePolicy::name);
            assertThat(registry.all())
                    .extracting(ProviderRegistry.Provider::name)
                    .contains("duo", "full", "streaming");
            assertThat(registry.failures()).singleElement().asString().contains("com.example.Missing");
        }
    }

    @Test
    void theBuiltInProvidersAreFoundWithTheirOrigin() {
        Duo duo = Duo.create();
        assertThat(duo.policies().all())
                .extracting(ProviderRegistry.Provider::name)
                .containsExactly("duo", "full", "streaming");
        assertThat(duo.headMaskSources().all())
                .extracting(ProviderRegistry.Provider::name)
                .containsExactly("all", "mask", "none", "pattern");
        assertThat(duo.policies().all()).allMatch(provider -> !provider.origin().isEmpty());
        assertThat(duo.policies().failures()).isEmpty();
    }
}
