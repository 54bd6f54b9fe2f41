package org.duoattention.backend.cpu;

import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.duoattention.backend.cpu.pool.Cores;

/** Reads the options of the CPU backends. */
final class CpuOptions {
    private CpuOptions() {}

    /**
     * Rejects options that the backend does not know.
     *
     * @throws IllegalArgumentException naming the option and those that exist
     */
    static void requireKnown(String backendId, Map<String, String> options, Set<String> known) {
        for (String name : new TreeSet<>(options.keySet())) {
            if (!known.contains(name)) {
                throw new IllegalArgumentException("backend " + backendId + " has no option '" + name + "'; it has "
                        + String.join(", ", new TreeSet<>(known)));
            }
        }
    }

    /** Whether inputs of quantised linear layers may be rounded to 8 bits: the option {@code activations}. */
    static boolean roundActivations(Map<String, String> options) {
        String value = options.getOrDefault("activations", "int8");
        return switch (value) {
            case "int8" -> true;
            case "exact" -> false;
            default ->
                throw new IllegalArgumentException("option activations must be int8 or exact, not '" + value + "'");
        };
    }

    /** Number of threads: the option, or the physical cores. */
    static int threads(Map<String, String> options) {
        int available = Runtime.getRuntime().availableProcessors();
        String value = options.get("threads");
        if (value == null) {
            return Cores.physical();
        }
        int threads = 0;
        try {
            threads = Integer.parseInt(value);
        } catch (NumberFormatException e) {
            // Reported below together with numbers out of range.
        }
        if (threads < 1 || threads > available) {
            throw new IllegalArgumentException(
                    "option threads must be a number from 1 to " + available + ", not '" + value + "'");
        }
        return threads;
    }
}
