package org.duoattention.api.cache;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.duoattention.api.head.HeadMask;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.model.ModelShape;
import org.junit.jupiter.api.Test;

class CachePlanTest {
    private static final ModelShape SHAPE = new ModelShape(2, 64, 6, 3, 16, 64, 100);
    private static final Retention ALL = new Retention.All();

    private static SlabPlan slab(int layer, int... heads) {
        return new SlabPlan(layer, HeadSet.of(heads), ALL);
    }

    @Test
    void everyHeadOnce() {
        CachePlan plan = new CachePlan(SHAPE, List.of(slab(1, 0, 1, 2), slab(0, 1), slab(0, 0, 2)));
        assertThat(plan.layer(0)).containsExactly(slab(0, 1), slab(0, 0, 2));
        assertThat(plan.layer(1)).containsExactly(slab(1, 0, 1, 2));
    }

    @Test
    void whatDoesNotAddUpIsRefusedByName() {
        assertThatThrownBy(() -> new CachePlan(SHAPE, List.of(slab(0, 0, 1, 2), slab(1, 0, 2))))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("misses layer 1 head 1");
        assertThatThrownBy(() -> new CachePlan(SHAPE, List.of(slab(0, 0, 1, 2), slab(0, 2), slab(1, 0, 1, 2))))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("layer 0 head 2 more than once");
        assertThatThrownBy(() -> new CachePlan(SHAPE, List.of(slab(0, 0, 1, 2, 3), slab(1, 0, 1, 2))))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("head 3");
        assertThatThrownBy(() -> new CachePlan(SHAPE, List.of(slab(2, 0))))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("layer 2");
        assertThatThrownBy(() -> new CachePlan(SHAPE, List.of())).hasMessageContaining("misses layer 0 head 0");
        assertThatThrownBy(() -> slab(0)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> slab(-1, 0)).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void retentionsKeepWhatTheySay() {
        ScoreSpec score = new ScoreSpec(1, false, true);
        assertThat(ALL.retainedTokens(1L << 40)).isEqualTo(1L << 40);
        Retention streaming = new Retention.SinkAndRecent(Integer.MAX_VALUE, Integer.MAX_VALUE);
        assertThat(streaming.retainedTokens(1L << 40)).isEqualTo(2L * Integer.MAX_VALUE);
        assertThat(new Retention.SinkAndRecent(64, 256).retainedTokens(100)).isEqualTo(100);
        assertThat(new Retention.TopScored(10, 2, 3, score).retainedTokens(1000))
                .isEqualTo(10);
        assertThat(new Retention.TopScored(10, 2, 3, score).scores()).contains(score);
        assertThat(ALL.scores()).isEmpty();
        assertThatThrownBy(() -> new Retention.SinkAndRecent(-1, 1)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> new Retention.SinkAndRecent(1, 0)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> new Retention.TopScored(4, 2, 3, score)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> new Retention.Custom(0, Optional.empty(), (slots, budget) -> new int[0]))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> new ScoreSpec(0, true, true)).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void contextsAreChecked() {
        HeadMask mask = HeadMask.all(SHAPE);
        ModelShape other = new ModelShape(3, 64, 6, 3, 16, 64, 100);
        assertThatThrownBy(() -> new PlanContext(other, mask, 1, 1, 1, Map.of()))
                .hasMessageContaining("2 layers x 3");
        assertThatThrownBy(() -> new PlanContext(SHAPE, mask, -1, 1, 1, Map.of()))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> new PlanContext(SHAPE, mask, 0, 1, 0, Map.of()))
                .isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void slotTablesHaveAScorePerSlotOrNone() {
        assertThat(new SlotTable(new long[] {4, 9}, new float[0]).size()).isEqualTo(2);
        assertThatThrownBy(() -> new SlotTable(new long[] {4, 9}, new float[] {1}))
                .isInstanceOf(IllegalArgumentException.class);
    }
}
