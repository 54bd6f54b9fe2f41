package org.duoattention.core.spi;

import java.security.CodeSource;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.ServiceConfigurationError;
import java.util.ServiceLoader;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.duoattention.core.DuoException;

/**
 * The providers of one service interface that are on the path, by name.
 *
 * <p>A provider that fails to load costs one line in {@link #failures}, not the program. Two providers of one name are an
 * error of the installation. Immutable and safe to share.
 *
 * @param <T> the service interface
 */
public final class ProviderRegistry<T> {
    /**
     * A provider.
     *
     * @param name its unique name
     * @param origin the jar or directory that it came from
     * @param service the provider
     */
    public record Provider<T>(String name, String origin, T service) {}

    private final String kind;
    private final Map<String, Provider<T>> providers;
    private final List<String> failures;

    private ProviderRegistry(String kind, Map<String, Provider<T>> providers, List<String> failures) {
        this.kind = kind;
        this.providers = providers;
        this.failures = List.copyOf(failures);
    }

    /**
     * Loads everything that a service loader finds.
     *
     * @param kind what to call a provider in messages, for example {@code cache policy}
     * @param loader finds the providers; this module declares {@code uses} for the service
     * @param name reads a provider's name
     * @throws DuoException when two providers have the same name
     */
    public static <T> ProviderRegistry<T> load(String kind, ServiceLoader<T> loader, Function<T, String> name) {
        Map<String, Provider<T>> found = new TreeMap<>();
        List<String> failures = new ArrayList<>();
        var iterator = loader.stream().iterator();
        while (true) {
            // A broken provider file surfaces in hasNext, a broken class in next or get; either costs one line.
            String failing = "a provider";
            try {
                if (!iterator.hasNext()) {
                    break;
                }
                ServiceLoader.Provider<T> candidate = iterator.next();
                failing = candidate.type().getName();
                T service = candidate.get();
                add(kind, found, new Provider<>(name.apply(service), origin(candidate.type()), service));
            } catch (ServiceConfigurationError | LinkageError e) {
                Throwable cause = e.getCause() == null ? e : e.getCause();
                failures.add(failing + ": " + firstLine(cause));
            }
        }
        return new ProviderRegistry<>(kind, found, failures);
    }

    /** A registry of given providers, for tests and for applications that do without service loading. */
    public static <T> ProviderRegistry<T> of(String kind, List<T> services, Function<T, String> name) {
        Map<String, Provider<T>> found = new TreeMap<>();
        for (T service : services) {
            add(kind, found, new Provider<>(name.apply(service), origin(service.getClass()), service));
        }
        return new ProviderRegistry<>(kind, found, List.of());
    }

    private static <T> void add(String kind, Map<String, Provider<T>> found, Provider<T> provider) {
        Provider<T> other = found.putIfAbsent(provider.name(), provider);
        if (other != null) {
            throw new DuoException("Two providers offer the " + kind + " '" + provider.name() + "': "
                    + other.service().getClass().getName() + " [" + other.origin() + "] and "
                    + provider.service().getClass().getName() + " [" + provider.origin()
                    + "]; take one of them off the path");
        }
    }

    private static String firstLine(Throwable cause) {
        String message = cause.getMessage() == null
                ? ""
                : ": " + cause.getMessage().lines().findFirst().orElse("");
        return cause.getClass().getSimpleName() + message;
    }

    private static String origin(Class<?> type) {
        CodeSource source = type.getProtectionDomain().getCodeSource();
        if (source == null || source.getLocation() == null) {
            return type.getModule().isNamed() ? type.getModule().getName() : "unknown";
        }
        String path = source.getLocation().getPath();
        String trimmed = path.endsWith("/") ? path.substring(0, path.length() - 1) : path;
        return trimmed.substring(trimmed.lastIndexOf('/') + 1);
    }

    /** The provider of a name. */
    public Optional<T> find(String name) {
        return Optional.ofNullable(providers.get(name)).map(Provider::service);
    }

    /**
     * The provider of a name.
     *
     * @throws DuoException listing what exists when there is none
     */
    public T require(String name) {
        return find(name).orElseThrow(() -> new DuoException("Unknown " + kind + " '" + name + "'; " + known()));
    }

    /** For messages: which names there are. */
    public String known() {
        return providers.isEmpty()
                ? "there is none on the path"
                : "there are: " + providers.keySet().stream().collect(Collectors.joining(", "));
    }

    /** All providers, by name. */
    public List<Provider<T>> all() {
        return providers.values().stream()
                .sorted(Comparator.comparing(Provider::name))
                .toList();
    }

    /** One line per provider that could not be loaded. */
    public List<String> failures() {
        return failures;
    }
}
