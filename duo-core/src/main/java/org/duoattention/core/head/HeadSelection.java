package org.duoattention.core.head;

import java.math.BigDecimal;
import java.math.RoundingMode;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import org.duoattention.api.head.HeadMask;
import org.duoattention.api.model.HeadSet;

/**
 * Which heads of a pattern become retrieval heads. Deterministic, unlike the authors' selection, which breaks ties by
 * unseeded noise although published scores tie often.
 */
public sealed interface HeadSelection {
    /** The retrieval heads of a pattern. */
    HeadMask select(HeadPattern pattern);

    /**
     * Keeps a share of all heads, best scores first; equal scores are ordered by layer, then by head.
     *
     * @param sparsity share of streaming heads, 0 to 1; exactly {@code (1 - sparsity) * heads} heads are kept, rounded
     *     to the nearest whole number, halves up, in decimal arithmetic
     */
    record BySparsity(double sparsity) implements HeadSelection {
        /** Checks the range. */
        public BySparsity {
            if (!(sparsity >= 0 && sparsity <= 1)) {
                throw new IllegalArgumentException("sparsity must be a number from 0 to 1, not " + sparsity);
            }
        }

        @Override
        public HeadMask select(HeadPattern pattern) {
            int heads = pattern.layers() * pattern.kvHeads();
            // Decimal, since 1 - 0.55 in binary is a little less than 0.45 and half a head would be lost.
            int kept = BigDecimal.ONE
                    .subtract(BigDecimal.valueOf(sparsity))
                    .multiply(BigDecimal.valueOf(heads))
                    .setScale(0, RoundingMode.HALF_UP)
                    .intValueExact();
            boolean[][] chosen = new boolean[pattern.layers()][pattern.kvHeads()];
            // The sort is stable and the heads start in (layer, head) order, which settles ties.
            IntStream.range(0, heads)
                    .boxed()
                    .sorted(Comparator.comparingDouble(
                            head -> -pattern.score(head / pattern.kvHeads(), head % pattern.kvHeads())))
                    .limit(kept)
                    .forEach(head -> chosen[head / pattern.kvHeads()][head % pattern.kvHeads()] = true);
            return mask(chosen);
        }
    }

    /**
     * Keeps the heads whose score reaches a threshold.
     *
     * @param threshold lowest score of a retrieval head, 0 to 1
     */
    record ByThreshold(double threshold) implements HeadSelection {
        /** Checks the range. */
        public ByThreshold {
            if (!(threshold >= 0 && threshold <= 1)) {
                throw new IllegalArgumentException("threshold must be a number from 0 to 1, not " + threshold);
            }
        }

        @Override
        public HeadMask select(HeadPattern pattern) {
            boolean[][] chosen = new boolean[pattern.layers()][pattern.kvHeads()];
            for (int layer = 0; layer < chosen.length; layer++) {
                for (int head = 0; head < chosen[layer].length; head++) {
                    chosen[layer][head] = pattern.score(layer, head) >= threshold;
                }
            }
            return mask(chosen);
        }
    }

    private static HeadMask mask(boolean[][] chosen) {
        List<HeadSet> sets = new ArrayList<>();
        for (boolean[] row : chosen) {
            sets.add(HeadSet.of(
                    IntStream.range(0, row.length).filter(head -> row[head]).toArray()));
        }
        return HeadMask.of(chosen[0].length, sets);
    }
}
