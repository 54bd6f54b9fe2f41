package org.duoattention.core.cache;

import org.duoattention.api.cache.SlabPlan;

/**
 * What one slab takes.
 *
 * @param plan layer, heads and retention
 * @param slots the most tokens that it holds at any time
 * @param bytes exact device bytes
 */
public record SlabReport(SlabPlan plan, long slots, long bytes) {}
