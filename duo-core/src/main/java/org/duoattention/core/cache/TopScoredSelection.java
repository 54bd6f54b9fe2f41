package org.duoattention.core.cache;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.cache.SlotTable;

/**
 * Lowers {@link Retention.TopScored} to a compaction: sinks and recent tokens stay, the rest of the budget goes to the
 * highest scores; equal scores prefer the later position. H2O (arXiv 2306.14048), TOVA (arXiv 2401.06104) and SnapKV
 * (arXiv 2404.14469) differ in the scores only.
 */
final class TopScoredSelection {
    private TopScoredSelection() {}

    /** Indices to keep, strictly ascending; as many as the budget when there are more slots than that. */
    static int[] keep(SlotTable slots, Retention.TopScored retention) {
        int size = slots.size();
        int budget = Math.min(retention.budget(), size);
        int sinks = 0;
        while (sinks < size && slots.positions()[sinks] < retention.sinks()) {
            sinks++;
        }
        int firstRecent = Math.max(sinks, size - retention.recent());
        boolean[] kept = new boolean[size];
        Arrays.fill(kept, 0, sinks, true);
        Arrays.fill(kept, firstRecent, size, true);
        int free = budget - sinks - (size - firstRecent);
        IntStream.range(sinks, firstRecent)
                .boxed()
                .sorted((a, b) -> slots.scores()[a] == slots.scores()[b]
                        ? Integer.compare(b, a)
                        : Float.compare(slots.scores()[b], slots.scores()[a]))
                .limit(Math.max(0, free))
                .forEach(index -> kept[index] = true);
        return IntStream.range(0, size).filter(index -> kept[index]).toArray();
    }
}
