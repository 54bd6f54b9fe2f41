package org.duoattention.core.head;

import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * How much every KV head of a model needs its full cache, as head identification found it: a score per (layer, KV head)
 * from 0, a streaming head, to 1, a retrieval head, and the sink and recent sizes that it was found with.
 *
 * <p>Immutable.
 */
public final class HeadPattern {
    private final double[][] scores;
    private final int sinkSize;
    private final int recentSize;
    private final Map<String, @Nullable Object> settings;

    /**
     * A pattern.
     *
     * @param scores one row per layer, one column per KV head; finite; clipped to 0..1
     * @param sinkSize sink tokens of streaming heads; at least 0
     * @param recentSize recent tokens of streaming heads; at least 1
     * @param settings further settings that are written to the pattern's config.json as they are: strings, numbers,
     *     booleans, nulls, lists and maps
     */
    public HeadPattern(
            double[][] scores, int sinkSize, int recentSize, Map<String, ? extends @Nullable Object> settings) {
        if (scores.length == 0 || scores[0].length == 0) {
            throw new IllegalArgumentException("a pattern has at least one layer and one KV head");
        }
        if (sinkSize < 0 || recentSize < 1) {
            throw new IllegalArgumentException("the sink size must be at least 0 and the recent size at least 1, not "
                    + sinkSize + " and " + recentSize);
        }
        this.scores = new double[scores.length][];
        for (int layer = 0; layer < scores.length; layer++) {
            if (scores[layer].length != scores[0].length) {
                throw new IllegalArgumentException(
                        "layer " + layer + " has " + scores[layer].length + " scores, layer 0 has " + scores[0].length);
            }
            this.scores[layer] =
                    Arrays.stream(scores[layer]).map(HeadPattern::clip).toArray();
        }
        this.sinkSize = sinkSize;
        this.recentSize = recentSize;
        this.settings = new LinkedHashMap<>(settings);
    }

    private static double clip(double score) {
        if (!Double.isFinite(score)) {
            throw new IllegalArgumentException("a score is a finite number, not " + score);
        }
        return Math.clamp(score, 0.0, 1.0);
    }

    /** Number of layers. */
    public int layers() {
        return scores.length;
    }

    /** KV heads per layer. */
    public int kvHeads() {
        return scores[0].length;
    }

    /** The score of a head, 0 to 1. */
    public double score(int layer, int head) {
        return scores[layer][head];
    }

    /** Sink tokens that the heads were identified with. */
    public int sinkSize() {
        return sinkSize;
    }

    /** Recent tokens that the heads were identified with. */
    public int recentSize() {
        return recentSize;
    }

    /** Further settings of the pattern's config.json, unmodifiable. */
    public Map<String, @Nullable Object> settings() {
        return Collections.unmodifiableMap(settings);
    }

    double[][] rows() {
        return scores;
    }
}
