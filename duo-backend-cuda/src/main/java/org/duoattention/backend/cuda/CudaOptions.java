package org.duoattention.backend.cuda;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.TreeSet;

/**
 * The options of the backend.
 *
 * @param device number of the GPU, when one was chosen
 * @param exact whether activations are multiplied as they are, in F32, and never rounded for tensor cores
 * @param libraries whether NVIDIA's libraries may compute what they compute faster
 */
record CudaOptions(OptionalInt device, boolean exact, boolean libraries) {
    private static final String DEVICE = "device";
    private static final String ACTIVATIONS = "activations";
    private static final String LIBRARIES = "libraries";
    /** System property with what {@link #ACTIVATIONS} is where the option is not given: the command line has no option. */
    private static final String ACTIVATIONS_PROPERTY = "duo.cuda.activations";

    private static final List<String> NAMES = List.of(ACTIVATIONS, DEVICE, LIBRARIES);

    /**
     * Reads the options.
     *
     * @throws IllegalArgumentException naming an option that is unknown or malformed
     */
    static CudaOptions of(Map<String, String> options) {
        for (String name : new TreeSet<>(options.keySet())) {
            if (!NAMES.contains(name)) {
                throw new IllegalArgumentException("backend " + CudaBackend.ID + " has no option '" + name
                        + "'; it has " + String.join(", ", NAMES));
            }
        }
        Map<String, String> given = new HashMap<>(options);
        String activations = System.getProperty(ACTIVATIONS_PROPERTY);
        if (activations != null) {
            given.putIfAbsent(ACTIVATIONS, activations);
        }
        String chosen = given.get(DEVICE);
        return new CudaOptions(
                chosen == null ? OptionalInt.empty() : OptionalInt.of(ordinal(chosen)),
                oneOf(given, ACTIVATIONS, "rounded", "exact").equals("exact"),
                oneOf(given, LIBRARIES, "auto", "none").equals("auto"));
    }

    /** The same without NVIDIA's libraries: they go with NVIDIA's driver only. */
    CudaOptions withoutLibraries() {
        return new CudaOptions(device, exact, false);
    }

    private static int ordinal(String chosen) {
        try {
            return Integer.parseInt(chosen);
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException("option device must be the number of a GPU, not '" + chosen + "'", e);
        }
    }

    private static String oneOf(Map<String, String> options, String name, String standard, String other) {
        String value = options.getOrDefault(name, standard);
        if (!value.equals(standard) && !value.equals(other)) {
            throw new IllegalArgumentException(
                    "option " + name + " must be " + standard + " or " + other + ", not '" + value + "'");
        }
        return value;
    }
}
