package org.duoattention.examples.cli;

import java.io.PrintStream;
import java.util.Set;
import java.util.concurrent.Callable;
import org.duoattention.api.backend.Probe;
import org.duoattention.api.backend.Requirements;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.core.session.Duo;
import org.duoattention.core.spi.Backends;
import org.duoattention.core.spi.ProviderRegistry;
import picocli.CommandLine.Command;

/** {@code duo backends}: what was found on the path, and why each backend is or is not usable. */
@Command(
        name = "backends",
        mixinStandardHelpOptions = true,
        description =
                "Lists backends, cache policies and head mask sources on the path, and why a backend cannot be used.")
final class BackendsCommand implements Callable<Integer> {
    /** Asked of every backend: a small model with BF16 weights and an F16 cache. */
    private static final Requirements USUAL = new Requirements(
            "a small model", new ModelShape(1, 64, 2, 1, 32, 128, 256), Set.of(DType.BF16), BlockFormat.F16, Set.of());

    private final Console console;

    BackendsCommand(Console console) {
        this.console = console;
    }

    @Override
    public Integer call() {
        Duo duo = Wiring.duo();
        PrintStream out = console.out();
        out.println("backends:");
        for (Backends.Report report : duo.backends().report(USUAL)) {
            String answer = switch (report.probe()) {
                case Probe.Usable usable -> "usable, priority " + usable.priority() + ": " + usable.description();
                case Probe.Unusable unusable -> "not usable: " + String.join("; ", unusable.reasons());
            };
            out.println("  " + report.id() + " [" + report.origin() + "]: " + answer);
        }
        duo.backends().failures().forEach(failure -> out.println("  failed to load: " + failure));
        list(out, "cache policies:", duo.policies());
        list(out, "head mask sources:", duo.headMaskSources());
        return ExitCode.OK;
    }

    private static void list(PrintStream out, String title, ProviderRegistry<?> registry) {
        out.println(title);
        registry.all().forEach(provider -> out.println("  " + provider.name() + " [" + provider.origin() + "]"));
        registry.failures().forEach(failure -> out.println("  failed to load: " + failure));
    }
}
