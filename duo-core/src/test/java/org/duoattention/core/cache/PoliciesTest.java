package org.duoattention.core.cache;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.stream.StreamSupport;
import org.duoattention.api.cache.KVCachePolicy;
import org.duoattention.api.cache.PlanContext;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.cache.SlabPlan;
import org.duoattention.api.head.HeadMask;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.model.ModelShape;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PoliciesTest {
    private static final ModelShape SHAPE = new ModelShape(3, 8, 4, 4, 2, 8, 8);
    private static final HeadMask MASK = HeadMask.of(4, List.of(HeadSet.of(1, 3), HeadSet.empty(), HeadSet.range(4)));
    private static final Retention ALL = new Retention.All();
    private static final Retention STREAMING = new Retention.SinkAndRecent(2, 5);

    @Test
    void areFoundAsServices() {
        assertThat(StreamSupport.stream(ServiceLoader.load(KVCachePolicy.class).spliterator(), false)
                        .map(KVCachePolicy::name))
                .contains("duo", "full", "streaming");
    }

    @Test
    void duoFollowsTheMask() {
        assertThat(new DuoPolicy().plan(context(Map.of())).slabs())
                .containsExactly(
                        new SlabPlan(0, HeadSet.of(1, 3), ALL),
                        new SlabPlan(0, HeadSet.of(0, 2), STREAMING),
                        new SlabPlan(1, HeadSet.range(4), STREAMING),
                        new SlabPlan(2, HeadSet.range(4), ALL));
    }

    @Test
    void fullAndStreamingIgnoreIt() {
        assertThat(new FullPolicy().plan(context(Map.of())).slabs())
                .containsExactly(
                        new SlabPlan(0, HeadSet.range(4), ALL),
                        new SlabPlan(1, HeadSet.range(4), ALL),
                        new SlabPlan(2, HeadSet.range(4), ALL));
        assertThat(new StreamingPolicy().plan(context(Map.of())).slabs())
                .containsExactly(
                        new SlabPlan(0, HeadSet.range(4), STREAMING),
                        new SlabPlan(1, HeadSet.range(4), STREAMING),
                        new SlabPlan(2, HeadSet.range(4), STREAMING));
    }

    @ParameterizedTest
    @ValueSource(classes = {DuoPolicy.class, FullPolicy.class, StreamingPolicy.class})
    void unknownOptionsAreRefused(Class<? extends KVCachePolicy> type) throws ReflectiveOperationException {
        KVCachePolicy policy = type.getConstructor().newInstance();
        assertThat(policy.options()).isEmpty();
        assertThatThrownBy(() -> policy.plan(context(Map.of("budget", "7"))))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("cache policy '" + policy.name() + "' has no option 'budget'; it has none");
    }

    private static PlanContext context(Map<String, String> options) {
        return new PlanContext(SHAPE, MASK, 2, 5, 1000, options);
    }
}
