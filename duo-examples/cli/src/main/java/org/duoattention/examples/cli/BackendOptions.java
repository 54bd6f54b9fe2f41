package org.duoattention.examples.cli;

import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Which backend, and which of its devices. */
final class BackendOptions {
    @Option(
            names = "--backend",
            paramLabel = "ID",
            description = "Backend to run on (default: the usable one of the highest priority; see duo backends).")
    private @Nullable String backend;

    @Option(
            names = "--device",
            paramLabel = "N",
            description = "Which of a backend's devices, from 0 (default: the first; cuda has this option).")
    private @Nullable Integer device;

    /** The backend that was asked for. */
    Optional<String> id() {
        return Optional.ofNullable(backend);
    }

    /** The backend's own options; one that does not know them refuses. */
    Map<String, String> options() {
        return device == null ? Map.of() : Map.of("device", Integer.toString(device));
    }
}
