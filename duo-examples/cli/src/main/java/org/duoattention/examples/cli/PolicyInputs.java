package org.duoattention.examples.cli;

import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.duoattention.api.cache.PlanInput;
import org.duoattention.core.DuoException;
import org.duoattention.core.session.Duo;
import org.jspecify.annotations.Nullable;

/**
 * What some policies use of what can be set, so that an option which none of them uses is refused.
 *
 * @param policies their names
 * @param inputs what any of them uses
 */
record PolicyInputs(List<String> policies, Set<PlanInput> inputs) {
    static PolicyInputs of(Duo duo, List<String> policies) {
        return new PolicyInputs(
                policies,
                policies.stream()
                        .flatMap(policy -> duo.policies().require(policy).inputs().stream())
                        .collect(Collectors.toSet()));
    }

    boolean contains(PlanInput input) {
        return inputs.contains(input);
    }

    /** The subject and verb of a sentence that denies something of the policies, in the singular or of none of several. */
    String deny(String ofOne, String ofNone) {
        return policies.size() == 1
                ? "policy " + policies.getFirst() + " " + ofOne
                : "none of " + String.join(", ", policies) + " " + ofNone;
    }

    /** Refuses an option about retrieval heads, if it was given and no policy uses them. */
    void checkHeads(@Nullable String option) {
        if (option != null && !contains(PlanInput.HEADS)) {
            throw new DuoException(
                    deny("does not use", "uses") + " retrieval heads; leave " + option + " out, or choose policy duo");
        }
    }

    /** Refuses {@code --sink} and {@code --recent}, if one was given and no policy uses them. */
    void checkWindow(@Nullable Integer sink, @Nullable Integer recent) {
        if ((sink != null || recent != null) && !contains(PlanInput.WINDOW)) {
            throw new DuoException(deny("does not use", "uses") + " sink and recent tokens; leave "
                    + (sink != null ? "--sink" : "--recent") + " out, or choose policy duo or streaming");
        }
    }
}
