package org.duoattention.api.cache;

/** A setting of a session that a policy may honour. Settings that a policy does not honour are refused, not ignored. */
public enum PlanInput {
    /** {@link PlanContext#heads()}: the policy needs a choice of retrieval heads. */
    HEADS,
    /** {@link PlanContext#sinks()} and {@link PlanContext#recent()}. */
    WINDOW
}
