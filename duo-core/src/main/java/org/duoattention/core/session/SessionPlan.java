package org.duoattention.core.session;

import java.util.List;
import org.duoattention.core.cache.CacheSpec;
import org.duoattention.core.cache.SlabReport;

/**
 * What a session will take, before anything is allocated.
 *
 * @param options the settings
 * @param cache what the cache is allocated for
 * @param slabs exact bytes per slab
 * @param activationBytes exact bytes of the scratch tensors, which all sessions of the model share, and of the session's own
 *     row of logits
 */
public record SessionPlan(SessionOptions options, CacheSpec cache, List<SlabReport> slabs, long activationBytes) {
    /** Exact bytes of keys, values and scales. */
    public long kvBytes() {
        return SlabReport.totalBytes(slabs);
    }
}
