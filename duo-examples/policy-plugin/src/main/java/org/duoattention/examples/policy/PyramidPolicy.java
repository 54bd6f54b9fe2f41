package org.duoattention.examples.policy;

import java.util.ArrayList;
import java.util.EnumSet;
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
 * Duo with a pyramid: retrieval heads keep everything, the window of streaming heads shrinks with depth, from twice the
 * recent tokens in the first layer to half of them in the last. Lower layers gather from farther away (the observation
 * of PyramidKV, arXiv 2406.02069).
 */
public final class PyramidPolicy implements KVCachePolicy {
    @Override
    public String name() {
        return "pyramid";
    }

    @Override
    public Set<PlanInput> inputs() {
        return EnumSet.allOf(PlanInput.class);
    }

    @Override
    public CachePlan plan(PlanContext context) {
        if (!context.options().isEmpty()) {
            throw new IllegalArgumentException(
                    "policy pyramid has no options, so not " + context.options().keySet());
        }
        List<SlabPlan> slabs = new ArrayList<>();
        int layers = context.shape().layers();
        for (int layer = 0; layer < layers; layer++) {
            add(slabs, layer, context.heads().retrieval(layer), new Retention.All());
            double share = layers == 1 ? 1 : 2 - 1.5 * layer / (layers - 1);
            int recent = Math.clamp(Math.round(share * context.recent()), 1, Integer.MAX_VALUE);
            add(slabs, layer, context.heads().streaming(layer), new Retention.SinkAndRecent(context.sinks(), recent));
        }
        return new CachePlan(context.shape(), slabs);
    }

    private static void add(List<SlabPlan> slabs, int layer, HeadSet heads, Retention retention) {
        if (!heads.isEmpty()) {
            slabs.add(new SlabPlan(layer, heads, retention));
        }
    }
}
