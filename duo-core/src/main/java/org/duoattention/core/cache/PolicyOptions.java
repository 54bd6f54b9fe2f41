package org.duoattention.core.cache;

import org.duoattention.api.cache.KVCachePolicy;
import org.duoattention.api.cache.PlanContext;

/** The check that policies without options share. */
final class PolicyOptions {
    private PolicyOptions() {}

    /** Refuses any option. */
    static void refuseAll(KVCachePolicy policy, PlanContext context) {
        context.options().keySet().stream().sorted().findFirst().ifPresent(name -> {
            throw new IllegalArgumentException(
                    "cache policy '" + policy.name() + "' has no option '" + name + "'; it has none");
        });
    }
}
