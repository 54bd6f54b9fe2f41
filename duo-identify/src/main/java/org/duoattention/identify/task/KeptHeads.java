package org.duoattention.identify.task;

import java.math.BigDecimal;
import org.duoattention.api.head.HeadMask;
import org.duoattention.core.head.HeadPattern;
import org.duoattention.core.head.HeadSelection;

/** The retrieval heads that are left when a share of a pattern's heads is kept. */
public final class KeptHeads {
    private KeptHeads() {}

    /**
     * The best heads of a pattern, as {@link HeadSelection.BySparsity} chooses them.
     *
     * @param fraction share of all heads that is kept, 0 to 1, read as a decimal number
     */
    public static HeadMask of(HeadPattern pattern, double fraction) {
        double sparsity = BigDecimal.ONE.subtract(BigDecimal.valueOf(fraction)).doubleValue();
        return new HeadSelection.BySparsity(sparsity).select(pattern);
    }
}
