package org.duoattention.api.backend;

import java.util.Map;

/**
 * A way to run a transformer: the entry point of a backend jar.
 *
 * <p>Found by {@link java.util.ServiceLoader}. Implementations have a public constructor without parameters that does
 * nothing, and may be called from any thread. Loading the class must not load optional native code or modules; {@link
 * #probe} looks for them and reports what is missing.
 */
public interface AttentionBackend {
    /** The unique id by which users choose this backend: lower-case letters, digits and dashes. */
    String id();

    /**
     * Whether this backend can serve the requirements on this machine. Quick (well under a second), free of side effects
     * that outlive the call, and never throws for what is merely missing.
     */
    Probe probe(Requirements requirements);

    /**
     * Opens the device. The caller closes it.
     *
     * @param options the backend's own options by name, for example {@code threads}
     * @throws IllegalArgumentException with one sentence for the user when an option is unknown or malformed
     * @throws IllegalStateException when {@link #probe} would answer {@link Probe.Unusable} whatever the requirements
     */
    Device open(Map<String, String> options);
}
