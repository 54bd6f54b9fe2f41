package org.duoattention.examples.cli;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import org.duoattention.core.DuoException;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Which backend, which of its devices, and what it has to be told. */
final class BackendOptions {
    private static final String DEVICE = "device";

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

    @Option(
            names = "--backend-option",
            paramLabel = "NAME=VALUE",
            description =
                    "One of the backend's own options, such as activations=exact of cpu, which otherwise rounds to 8"
                            + " bits what it multiplies INT4 weights with when it decodes; may be repeated.")
    private Map<String, String> own = new LinkedHashMap<>();

    /** The backend that was asked for. */
    Optional<String> id() {
        return Optional.ofNullable(backend);
    }

    /** The backend's own options; one that does not know them refuses. */
    Map<String, String> options() {
        Map<String, String> all = new LinkedHashMap<>(own);
        if (device != null && all.put(DEVICE, Integer.toString(device)) != null) {
            throw new DuoException("--device and --backend-option device say the same; give one of them");
        }
        return all;
    }
}
