package org.duoattention.backend.cpu.vector;

import java.util.Optional;
import java.util.Set;

/** The system property that chooses the vector width. */
final class SimdWidth {
    private static final String PROPERTY = "duo.cpu.simd";
    private static final String AUTO = "auto";
    private static final Set<String> WIDTHS = Set.of(AUTO, "512", "256", "128");

    private SimdWidth() {}

    /** Bits that the property asks for, or empty when the choice is ours. */
    static Optional<Integer> bits() {
        String value = value();
        return value.equals(AUTO) ? Optional.empty() : Optional.of(Integer.valueOf(value));
    }

    /** A sentence when the property makes no sense. */
    static Optional<String> problem() {
        String value = value();
        return WIDTHS.contains(value)
                ? Optional.empty()
                : Optional.of("system property " + PROPERTY + " is " + value + "; use auto, 512, 256 or 128");
    }

    private static String value() {
        return System.getProperty(PROPERTY, AUTO);
    }
}
