package org.duoattention.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.backend.cuda.kernel.DirectoryImages;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.Isolated;

/** Steps over growing slabs and turning rings are the same launches every time. Alone, because it counts launches. */
@Isolated
class SlabGraphsTest {
    private static final ModelShape SHAPE = new ModelShape(1, 16, 8, 4, 64, 16, 16);
    private static final int STEPS = 40;

    @Test
    void aDecodeStepIsOneGraphAtEveryLength() {
        try (Device device = new CudaBackend(
                                EmulatedDriver.library().toString(), new DirectoryImages(EmulatedDriver.kernels()))
                        .open(Map.of("libraries", "none"));
                ComputeStream stream = device.openStream();
                Slab full = device.allocate(slab(HeadSet.of(0, 3), new Retention.All()));
                Slab streaming = device.allocate(slab(HeadSet.of(1, 2), new Retention.SinkAndRecent(2, 9)));
                Tensor k = device.allocate(TensorSpec.of(DType.F32, 1, SHAPE.kvWidth()));
                Tensor q = device.allocate(TensorSpec.of(DType.F32, 1, SHAPE.queryWidth()));
                Tensor out = device.allocate(TensorSpec.of(DType.F32, 1, SHAPE.queryWidth()))) {
            float[] ones = new float[SHAPE.kvWidth()];
            float[] result = new float[SHAPE.queryWidth()];
            long graphs = 0;
            for (int i = 0; i < STEPS; i++) {
                // With queries of zero every visible token counts alike: the result is the mean of their numbers.
                Arrays.fill(ones, i);
                stream.upload(MemorySegment.ofArray(ones), k);
                graphs = EmulatedDriver.graphLaunches();
                for (Slab slab : List.of(full, streaming)) {
                    stream.append(slab, k, k);
                }
                stream.attendAll(List.of(full, streaming), q, 1, PrefillMode.UPSTREAM, out);
                stream.evict(streaming);
                stream.download(out, MemorySegment.ofArray(result));
                stream.synchronize();
                assertThat(result[0]).as("mean of tokens 0 to %d", i).isCloseTo(i / 2f, within(1e-3f));
                assertThat(result[3 * 64])
                        .as("mean of sinks and recent tokens at %d", i)
                        .isCloseTo(mean(i), within(1e-3f));
            }
            assertThat(EmulatedDriver.graphLaunches())
                    .as("the last step was a graph")
                    .isEqualTo(graphs + 1);
        }
    }

    /** The mean of what a streaming head sees: 2 sinks, 9 recent tokens, and the token itself. */
    private static float mean(int token) {
        float sum = 0;
        int count = 0;
        for (int i = 0; i <= token; i++) {
            if (i < 2 || token - i <= 9) {
                sum += i;
                count++;
            }
        }
        return sum / count;
    }

    private static SlabSpec slab(HeadSet heads, Retention retention) {
        return new SlabSpec(SHAPE, 0, heads, BlockFormat.F16, retention, 1000, 1, 0);
    }
}
