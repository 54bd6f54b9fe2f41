package org.duoattention.backend.cpu;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.Requirements;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;

/** Compares what a model and a session need with what the CPU backends have. */
final class CpuRequirements {
    private static final Set<DType> WEIGHTS = Set.of(DType.F32, DType.F16, DType.BF16);

    private CpuRequirements() {}

    /** Why the requirements cannot be met; empty when they can. */
    static List<String> unmet(Requirements requirements, Set<Capability> capabilities) {
        List<String> reasons = new ArrayList<>();
        for (DType type : new TreeSet<>(requirements.weightTypes())) {
            if (!WEIGHTS.contains(type)) {
                reasons.add("weights of type " + type + " are not supported; convert them to F32, F16 or BF16");
            }
        }
        if (requirements.kv() instanceof BlockFormat.Grouped grouped
                && !(grouped.asymmetric() && grouped.scaleType() == DType.F16)) {
            reasons.add("kv=" + grouped.label() + " is supported with offsets and F16 scales only");
        }
        for (Capability capability : new TreeSet<>(requirements.capabilities())) {
            if (!capabilities.contains(capability)) {
                reasons.add(capability.label() + " are not supported; choose the backend cpu-scalar");
            }
        }
        return reasons;
    }
}
