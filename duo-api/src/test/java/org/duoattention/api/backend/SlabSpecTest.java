package org.duoattention.api.backend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Optional;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.cache.ScoreSpec;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.junit.jupiter.api.Test;

class SlabSpecTest {
    private static final ModelShape SHAPE = new ModelShape(2, 64, 8, 4, 16, 64, 100);

    private static SlabSpec spec(Retention retention, long maxTokens, int maxChunk, int undo) {
        return new SlabSpec(SHAPE, 1, HeadSet.of(0, 3), BlockFormat.F16, retention, maxTokens, maxChunk, undo);
    }

    @Test
    void capacityIsWhatStaysAndTheMarginAndOneChunk() {
        assertThat(spec(new Retention.All(), 1000, 32, 7).slotCapacity()).isEqualTo(1000);
        assertThat(spec(new Retention.SinkAndRecent(64, 256), 1L << 40, 32, 7).slotCapacity())
                .isEqualTo(64 + 256 + 7 + 32);
        assertThat(spec(new Retention.SinkAndRecent(64, 256), 300, 32, 7).slotCapacity())
                .isEqualTo(300);
        assertThat(spec(new Retention.TopScored(100, 1, 1, new ScoreSpec(1, true, false)), 1000, 32, 7)
                        .slotCapacity())
                .isEqualTo(132);
        assertThat(spec(new Retention.Custom(100, Optional.empty(), (slots, budget) -> new int[0]), 1000, 32, 7)
                        .slotCapacity())
                .isEqualTo(132);
    }

    @Test
    void sizesThatMakeNoSenseAreRefused() {
        Retention all = new Retention.All();
        assertThatThrownBy(() -> spec(all, 0, 1, 0)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> spec(all, 10, 11, 0)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> spec(all, 10, 0, 0)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> spec(all, 10, 1, -1)).isInstanceOf(IllegalArgumentException.class);
        for (HeadSet heads : List.of(HeadSet.empty(), HeadSet.of(4))) {
            assertThatThrownBy(() -> new SlabSpec(SHAPE, 0, heads, BlockFormat.F16, all, 10, 1, 0))
                    .isInstanceOf(IllegalArgumentException.class);
        }
        assertThatThrownBy(() -> new SlabSpec(SHAPE, 2, HeadSet.of(0), BlockFormat.F16, all, 10, 1, 0))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("layer 2");
    }

    @Test
    void ropesAreValues() {
        double[] frequencies = {1, 0.5};
        Rope rope = new Rope(frequencies, 1.25);
        frequencies[0] = 9;
        assertThat(rope.pairs()).isEqualTo(2);
        assertThat(rope.inverseFrequency(0)).isEqualTo(1);
        assertThat(rope)
                .isEqualTo(new Rope(new double[] {1, 0.5}, 1.25))
                .hasSameHashCodeAs(new Rope(new double[] {1, 0.5}, 1.25));
        assertThat(rope).isNotEqualTo(new Rope(new double[] {1, 0.5}, 1));
        assertThatThrownBy(() -> new Rope(new double[0], 1)).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void exceptionsSayWhatIsNeeded() {
        UnsupportedCapabilityException unsupported = new UnsupportedCapabilityException("tiny", Capability.SCORES);
        assertThat(unsupported).hasMessageContaining("tiny").hasMessageContaining("attention scores");
        DeviceMemoryException memory = new DeviceMemoryException("a slab", 100, 7);
        assertThat(memory).hasMessage("a slab needs 100 bytes, 7 are available");
        assertThatThrownBy(() -> new Probe.Unusable(List.of())).isInstanceOf(IllegalArgumentException.class);
    }
}
