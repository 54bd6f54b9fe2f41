package org.duoattention.core.spi;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.ServiceLoader;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Probe;
import org.duoattention.api.backend.Requirements;
import org.duoattention.core.DuoException;
import org.duoattention.core.spi.ProviderRegistry.Provider;

/**
 * The backends on the path, and the rule that chooses one: an explicit id, otherwise the usable one of the highest
 * priority, otherwise an error that says why each cannot be used. Safe to share.
 */
public final class Backends {
    /**
     * What a backend answered.
     *
     * @param id the backend's id
     * @param origin the jar that it came from
     * @param probe its answer
     */
    public record Report(String id, String origin, Probe probe) {}

    private final ProviderRegistry<AttentionBackend> registry;

    /** Backends from a registry. */
    public Backends(ProviderRegistry<AttentionBackend> registry) {
        this.registry = registry;
    }

    /** Backends found by {@link ServiceLoader} with the context class loader. */
    public static Backends load() {
        return new Backends(
                ProviderRegistry.load("backend", ServiceLoader.load(AttentionBackend.class), AttentionBackend::id));
    }

    /** Asks every backend. */
    public List<Report> report(Requirements requirements) {
        List<Report> reports = new ArrayList<>();
        for (Provider<AttentionBackend> provider : registry.all()) {
            reports.add(new Report(provider.name(), provider.origin(), probe(provider.service(), requirements)));
        }
        return reports;
    }

    /**
     * Asks one backend.
     *
     * @throws DuoException when there is no such backend
     */
    public Probe probe(String id, Requirements requirements) {
        return probe(registry.require(id), requirements);
    }

    private static Probe probe(AttentionBackend backend, Requirements requirements) {
        try {
            return backend.probe(requirements);
        } catch (LinkageError | RuntimeException e) {
            // The contract forbids it, but one broken jar must not take the others down.
            return new Probe.Unusable(List.of("probe failed: " + e));
        }
    }

    /** One line per provider that could not be loaded. */
    public List<String> failures() {
        return registry.failures();
    }

    /**
     * Chooses a backend.
     *
     * @param requirements what the model and the session need
     * @param id the user's choice, if any
     * @throws DuoException when the chosen backend does not exist or is not usable, when none is usable, or when the two
     *     best have the same priority
     */
    public AttentionBackend choose(Requirements requirements, Optional<String> id) {
        if (id.isPresent()) {
            AttentionBackend backend = registry.require(id.get());
            if (probe(backend, requirements) instanceof Probe.Unusable unusable) {
                throw new DuoException("Backend " + id.get() + " cannot run " + label(requirements) + ": "
                        + String.join("; ", unusable.reasons()) + othersThatCan(requirements));
            }
            return backend;
        }
        List<Report> usable = new ArrayList<>();
        List<Report> reports = report(requirements);
        int best = Integer.MIN_VALUE;
        for (Report report : reports) {
            if (report.probe() instanceof Probe.Usable answer) {
                if (answer.priority() > best) {
                    usable.clear();
                    best = answer.priority();
                }
                if (answer.priority() == best) {
                    usable.add(report);
                }
            }
        }
        if (usable.isEmpty()) {
            throw new DuoException(nothingUsable(requirements, reports));
        }
        if (usable.size() > 1) {
            throw new DuoException(
                    "Backends " + usable.get(0).id() + " [" + usable.get(0).origin() + "] and "
                            + usable.get(1).id() + " [" + usable.get(1).origin() + "] both claim priority " + best
                            + "; choose one by its id");
        }
        return registry.require(usable.get(0).id());
    }

    /**
     * Chooses and opens.
     *
     * @param options the backend's own options
     * @throws DuoException as {@link #choose}, or when an option is refused
     */
    public Device open(Requirements requirements, Optional<String> id, Map<String, String> options) {
        AttentionBackend backend = choose(requirements, id);
        try {
            return backend.open(options);
        } catch (IllegalArgumentException | IllegalStateException e) {
            throw new DuoException(sentence(backend.id(), String.valueOf(e.getMessage())), e);
        }
    }

    /** A refusal that names its backend, once. */
    private static String sentence(String id, String message) {
        return message.startsWith("backend " + id + " ")
                ? "B" + message.substring(1)
                : "Backend " + id + ": " + message;
    }

    private static String label(Requirements requirements) {
        return requirements.model() + " (kv=" + requirements.kv().label().toUpperCase(Locale.ROOT) + ")";
    }

    private String othersThatCan(Requirements requirements) {
        List<String> others = report(requirements).stream()
                .filter(report -> report.probe() instanceof Probe.Usable)
                .map(Report::id)
                .toList();
        return others.isEmpty() ? "" : "; " + String.join(", ", others) + " can";
    }

    private String nothingUsable(Requirements requirements, List<Report> reports) {
        StringBuilder text = new StringBuilder("No attention backend can run " + label(requirements) + ":");
        int width =
                reports.stream().mapToInt(report -> report.id().length()).max().orElse(0);
        for (Report report : reports) {
            if (report.probe() instanceof Probe.Unusable unusable) {
                text.append("\n  ")
                        .append(report.id())
                        .append(" ".repeat(width - report.id().length()))
                        .append(" [")
                        .append(report.origin())
                        .append("]: ")
                        .append(String.join("; ", unusable.reasons()));
            }
        }
        for (String failure : registry.failures()) {
            text.append("\n  ").append(failure);
        }
        if (reports.isEmpty() && registry.failures().isEmpty()) {
            text.append(" none is on the path; add duo-backend-cpu.jar");
        }
        return text.toString();
    }
}
