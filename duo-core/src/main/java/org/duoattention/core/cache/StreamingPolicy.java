package org.duoattention.core.cache;

import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.duoattention.api.cache.CachePlan;
import org.duoattention.api.cache.KVCachePolicy;
import org.duoattention.api.cache.PlanContext;
import org.duoattention.api.cache.PlanInput;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.cache.SlabPlan;
import org.duoattention.api.model.HeadSet;

/**
 * {@code streaming}: every head keeps the first and the last tokens, whatever the head mask says (StreamingLLM, arXiv
 * 2309.17453, with keys at their absolute positions).
 */
public final class StreamingPolicy implements KVCachePolicy {
    @Override
    public String name() {
        return "streaming";
    }

    @Override
    public Set<PlanInput> inputs() {
        return Set.of(PlanInput.WINDOW);
    }

    @Override
    public CachePlan plan(PlanContext context) {
        PolicyOptions.refuseAll(this, context);
        HeadSet heads = HeadSet.range(context.shape().kvHeads());
        Retention retention = new Retention.SinkAndRecent(context.sinks(), context.recent());
        List<SlabPlan> slabs = IntStream.range(0, context.shape().layers())
                .mapToObj(layer -> new SlabPlan(layer, heads, retention))
                .toList();
        return new CachePlan(context.shape(), slabs);
    }
}
