package org.duoattention.core.cache;

import java.util.ArrayList;
import java.util.List;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.cache.CachePlan;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.cache.SlabPlan;
import org.duoattention.api.tensor.BlockFormat;

/**
 * A cache plan with the sizes of a session: everything that decides how many bytes the cache takes.
 *
 * @param plan what every head retains
 * @param format storage format of keys and values
 * @param streamingFormat storage format of the heads that keep sink and recent tokens only; being few tokens, they may
 *     be stored more exactly
 * @param maxTokens longest context
 * @param maxChunk most tokens appended between two evictions
 * @param undo rollback margin of streaming heads, in tokens
 */
public record CacheSpec(
        CachePlan plan, BlockFormat format, BlockFormat streamingFormat, long maxTokens, int maxChunk, int undo) {
    /** The spec of one of the plan's slabs. */
    public SlabSpec slab(SlabPlan slab) {
        BlockFormat stored = slab.retention() instanceof Retention.SinkAndRecent ? streamingFormat : format;
        return new SlabSpec(
                plan.shape(), slab.layer(), slab.heads(), stored, slab.retention(), maxTokens, maxChunk, undo);
    }

    /** What every slab will take on a device; allocation takes exactly that. */
    public List<SlabReport> report(Device device) {
        List<SlabReport> reports = new ArrayList<>();
        for (SlabPlan slab : plan.slabs()) {
            SlabSpec spec = slab(slab);
            reports.add(new SlabReport(slab, spec.slotCapacity(), device.bytes(spec)));
        }
        return reports;
    }
}
