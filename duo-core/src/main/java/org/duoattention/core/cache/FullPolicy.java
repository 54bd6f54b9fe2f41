package org.duoattention.core.cache;

import java.util.List;
import java.util.stream.IntStream;
import org.duoattention.api.cache.CachePlan;
import org.duoattention.api.cache.KVCachePolicy;
import org.duoattention.api.cache.PlanContext;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.cache.SlabPlan;
import org.duoattention.api.model.HeadSet;

/** {@code full}: every head keeps every token, whatever the head mask says. */
public final class FullPolicy implements KVCachePolicy {
    @Override
    public String name() {
        return "full";
    }

    @Override
    public CachePlan plan(PlanContext context) {
        PolicyOptions.refuseAll(this, context);
        HeadSet heads = HeadSet.range(context.shape().kvHeads());
        List<SlabPlan> slabs = IntStream.range(0, context.shape().layers())
                .mapToObj(layer -> new SlabPlan(layer, heads, new Retention.All()))
                .toList();
        return new CachePlan(context.shape(), slabs);
    }
}
