package org.duoattention.api.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class ModelShapeTest {
    @Test
    void widths() {
        ModelShape shape = new ModelShape(32, 4096, 32, 8, 128, 14336, 128256);
        assertThat(shape.queryHeadsPerKvHead()).isEqualTo(4);
        assertThat(shape.queryWidth()).isEqualTo(4096);
        assertThat(shape.kvWidth()).isEqualTo(1024);
    }

    @Test
    void impossibleExtentsAreRefused() {
        assertThatThrownBy(() -> new ModelShape(0, 8, 1, 1, 8, 8, 8)).hasMessageContaining("layers");
        assertThatThrownBy(() -> new ModelShape(1, 8, 1, 1, -8, 8, 8)).hasMessageContaining("headDim");
        assertThatThrownBy(() -> new ModelShape(1, 8, 6, 4, 8, 8, 8))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("4 KV heads do not divide 6");
        assertThatThrownBy(() -> new ModelShape(1, 8, 1 << 20, 1, 1 << 20, 8, 8).queryWidth())
                .isInstanceOf(ArithmeticException.class);
    }

    @Test
    void headSets() {
        HeadSet set = HeadSet.of(3, 0, 3);
        assertThat(set.size()).isEqualTo(2);
        assertThat(set.get(0)).isZero();
        assertThat(set.get(1)).isEqualTo(3);
        assertThat(set.max()).isEqualTo(3);
        assertThat(set.contains(1)).isFalse();
        assertThat(set.contains(-1)).isFalse();
        assertThat(set.complement(5)).isEqualTo(HeadSet.of(1, 2, 4));
        assertThat(set.stream()).containsExactly(0, 3);
        assertThat(set).hasToString("{0, 3}").isNotEqualTo(HeadSet.of(0)).hasSameHashCodeAs(HeadSet.of(0, 3));
        assertThat(HeadSet.empty().max()).isEqualTo(-1);
        assertThat(HeadSet.range(3)).isEqualTo(HeadSet.of(0, 1, 2));
        assertThatThrownBy(() -> HeadSet.of(-1)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> set.complement(3)).isInstanceOf(IllegalArgumentException.class);
    }
}
