package org.duoattention.api.head;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.model.ModelShape;
import org.junit.jupiter.api.Test;

class HeadMaskTest {
    private static final ModelShape SHAPE = new ModelShape(2, 64, 8, 4, 16, 64, 100);

    @Test
    void retrievalAndStreamingHeadsPartitionALayer() {
        HeadMask mask = HeadMask.of(4, List.of(HeadSet.of(0, 3), HeadSet.empty()));
        assertThat(mask.retrieval(0)).isEqualTo(HeadSet.of(0, 3));
        assertThat(mask.streaming(0)).isEqualTo(HeadSet.of(1, 2));
        assertThat(mask.streaming(1)).isEqualTo(HeadSet.range(4));
        assertThat(mask.retrievalCount()).isEqualTo(2);
        assertThat(mask.headCount()).isEqualTo(8);
        assertThat(mask.fits(SHAPE)).isTrue();
        assertThat(mask).hasToString("HeadMask[2 layers x 4 KV heads, 2 retrieval]");
    }

    @Test
    void allAndNone() {
        assertThat(HeadMask.all(SHAPE).retrievalCount()).isEqualTo(8);
        assertThat(HeadMask.none(SHAPE).retrievalCount()).isZero();
        assertThat(HeadMask.all(SHAPE))
                .isEqualTo(HeadMask.of(4, List.of(HeadSet.range(4), HeadSet.range(4))))
                .isNotEqualTo(HeadMask.of(5, List.of(HeadSet.range(4), HeadSet.range(4))));
        assertThat(HeadMask.of(4, List.of(HeadSet.empty())).fits(SHAPE)).isFalse();
    }

    @Test
    void headsThatDoNotExistAreRefused() {
        assertThatThrownBy(() -> HeadMask.of(4, List.of(HeadSet.empty(), HeadSet.of(4))))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("layer 1")
                .hasMessageContaining("head 4");
        assertThatThrownBy(() -> HeadMask.of(0, List.of(HeadSet.empty()))).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> HeadMask.of(4, List.of())).isInstanceOf(IllegalArgumentException.class);
    }
}
