package org.duoattention.core.cache;

import java.util.List;
import org.duoattention.api.cache.SlabPlan;

/**
 * What one slab takes.
 *
 * @param plan layer, heads and retention
 * @param slots the most tokens that it holds at any time
 * @param bytes exact device bytes
 */
public record SlabReport(SlabPlan plan, long slots, long bytes) {
    /**
     * Bytes of several slabs together.
     *
     * @throws ArithmeticException when they do not fit 64 bits
     */
    public static long totalBytes(List<SlabReport> slabs) {
        long bytes = 0;
        for (SlabReport slab : slabs) {
            bytes = Math.addExact(bytes, slab.bytes());
        }
        return bytes;
    }
}
