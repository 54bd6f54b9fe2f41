package org.duoattention.core.cache;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.duoattention.api.cache.CachePlan;
import org.duoattention.api.cache.KVCachePolicy;
import org.duoattention.api.cache.PlanContext;
import org.duoattention.api.cache.PlanInput;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.cache.SlabPlan;
import org.duoattention.api.model.HeadSet;

/**
 * {@code duo}: retrieval heads keep every token, streaming heads the first and the last ones (DuoAttention, arXiv
 * 2410.10819). At most two slabs per layer.
 */
public final class DuoPolicy implements KVCachePolicy {
    @Override
    public String name() {
        return "duo";
    }

    @Override
    public Set<PlanInput> inputs() {
        return Set.of(PlanInput.HEADS, PlanInput.WINDOW);
    }

    @Override
    public CachePlan plan(PlanContext context) {
        PolicyOptions.refuseAll(this, context);
        Retention streaming = new Retention.SinkAndRecent(context.sinks(), context.recent());
        List<SlabPlan> slabs = new ArrayList<>();
        for (int layer = 0; layer < context.shape().layers(); layer++) {
            add(slabs, layer, context.heads().retrieval(layer), new Retention.All());
            add(slabs, layer, context.heads().streaming(layer), streaming);
        }
        return new CachePlan(context.shape(), slabs);
    }

    private static void add(List<SlabPlan> slabs, int layer, HeadSet heads, Retention retention) {
        if (!heads.isEmpty()) {
            slabs.add(new SlabPlan(layer, heads, retention));
        }
    }
}
