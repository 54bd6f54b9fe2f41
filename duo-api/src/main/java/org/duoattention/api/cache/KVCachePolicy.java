package org.duoattention.api.cache;

import java.util.Set;

/**
 * A cache policy: a plan, not a hook. It is asked once per session what every KV head retains and never touches keys or
 * values; layout, rings and scales are the backend's business, eviction is the core's.
 *
 * <p>Found by {@link java.util.ServiceLoader}. Implementations have a public constructor without parameters, keep no
 * state and may be called from any thread.
 */
public interface KVCachePolicy {
    /** The unique name by which users choose this policy: lower-case letters, digits and dashes. */
    String name();

    /**
     * Which settings of the session the plan depends on; none by default. A session refuses a setting that its policy does
     * not list, and asks for retrieval heads when the policy lists {@link PlanInput#HEADS}.
     */
    default Set<PlanInput> inputs() {
        return Set.of();
    }

    /** Names of the options that {@link #plan} understands in {@link PlanContext#options()}; empty by default. */
    default Set<String> options() {
        return Set.of();
    }

    /**
     * The plan for a session. Pure: equal contexts give equal plans, nothing is read from outside.
     *
     * @return a plan for {@code context.shape()}; never null
     * @throws IllegalArgumentException with one sentence for the user when an option is unknown or malformed, or the
     *     context cannot be served
     */
    CachePlan plan(PlanContext context);
}
