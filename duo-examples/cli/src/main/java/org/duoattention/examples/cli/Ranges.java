package org.duoattention.examples.cli;

import org.duoattention.core.DuoException;
import org.jspecify.annotations.Nullable;

/** Refuses values of options that are out of range; an option that was not given is in range. */
final class Ranges {
    private Ranges() {}

    static void atLeast(String option, @Nullable Integer value, int minimum) {
        if (value != null && value < minimum) {
            throw new DuoException(option + " is " + value + "; it must be at least " + minimum);
        }
    }

    /** A share, 0 to 1; not NaN. */
    static void share(String option, @Nullable Double value) {
        if (value != null && !(value >= 0 && value <= 1)) {
            throw new DuoException(option + " is " + value + "; it must lie between 0 and 1");
        }
    }
}
