package org.duoattention.api.backend;

import java.util.List;

/** A backend's answer to whether it can serve given {@link Requirements} on this machine. */
public sealed interface Probe {
    /**
     * It can.
     *
     * @param priority the highest priority wins; two usable backends of equal priority are an error of the installation
     * @param description one line: what it runs on and which path it takes
     */
    record Usable(int priority, String description) implements Probe {}

    /**
     * It cannot.
     *
     * @param reasons at least one short reason, each saying how to mend it where that is possible
     */
    record Unusable(List<String> reasons) implements Probe {
        /** Checks that there is a reason. */
        public Unusable {
            reasons = List.copyOf(reasons);
            if (reasons.isEmpty()) {
                throw new IllegalArgumentException("an unusable backend says why");
            }
        }
    }
}
