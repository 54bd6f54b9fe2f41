package org.duoattention.examples.policy;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Map;
import org.duoattention.api.cache.KVCachePolicy;
import org.duoattention.api.cache.PlanContext;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.cache.SlabPlan;
import org.duoattention.api.head.HeadMask;
import org.duoattention.api.model.ModelShape;
import org.duoattention.tck.KVCachePolicyContract;
import org.junit.jupiter.api.Test;

/** What the kit asks of every policy, and the one thing that is this policy's own. */
class PyramidPolicyTest extends KVCachePolicyContract {
    @Override
    protected KVCachePolicy policy() {
        return new PyramidPolicy();
    }

    @Test
    void theWindowShrinksFromTwiceToHalfTheRecentTokens() {
        ModelShape shape = new ModelShape(4, 64, 4, 4, 16, 64, 100);
        PlanContext context = new PlanContext(shape, HeadMask.none(shape), 16, 64, 4096, Map.of());
        assertThat(policy().plan(context).slabs())
                .extracting(SlabPlan::retention)
                .containsExactly(
                        new Retention.SinkAndRecent(16, 128),
                        new Retention.SinkAndRecent(16, 96),
                        new Retention.SinkAndRecent(16, 64),
                        new Retention.SinkAndRecent(16, 32));
    }
}
