package org.duoattention.examples.cli;

import java.util.HashSet;
import java.util.List;
import org.duoattention.core.DuoException;
import org.jspecify.annotations.Nullable;

/** Refuses values of options that are out of range; an option that was not given is in range. */
final class Ranges {
    private Ranges() {}

    /** A whole number of at least a minimum. */
    static void atLeast(String option, @Nullable Number value, long minimum) {
        if (value != null && value.longValue() < minimum) {
            throw new DuoException(option + " is " + value + "; it must be at least " + minimum);
        }
    }

    /** A share, 0 to 1; not NaN. */
    static void share(String option, @Nullable Double value) {
        if (value != null && !(value >= 0 && value <= 1)) {
            throw new DuoException(option + " is " + value + "; it must lie between 0 and 1");
        }
    }

    /** Different shares, at least one. */
    static void shares(String option, List<Double> values) {
        values.forEach(value -> share(option, value));
        if (values.isEmpty() || new HashSet<>(values).size() < values.size()) {
            throw new DuoException(option + " " + values + " names a share twice or none");
        }
    }
}
