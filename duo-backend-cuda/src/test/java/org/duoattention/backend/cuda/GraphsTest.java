package org.duoattention.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Projection;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.backend.cuda.kernel.DirectoryImages;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.Isolated;

/** Steps that repeat become graphs, and give what single launches give. Alone, because it counts launches. */
@Isolated
class GraphsTest {
    private static final int WIDTH = 16;
    private static final Rope ROPE = new Rope(new double[] {1, 0.1, 0.01, 0.001}, 1);

    @Test
    void theThirdEqualStepIsOneLaunchOfAGraph() {
        float[][] repeated = new float[5][];
        float[][] alone = new float[5][];
        try (Device device = open();
                Arena arena = Arena.ofConfined()) {
            try (Step step = new Step(device, arena)) {
                for (int i = 0; i < repeated.length; i++) {
                    long launches = EmulatedDriver.launches();
                    long graphs = EmulatedDriver.graphLaunches();
                    repeated[i] = step.run(i, 1_000_000 + i);
                    assertThat(EmulatedDriver.launches() - launches)
                            .as("kernels of step %d", i)
                            .isEqualTo(5);
                    assertThat(EmulatedDriver.graphLaunches() - graphs)
                            .as("graphs of step %d", i)
                            .isEqualTo(i == 0 ? 0 : 1);
                }
            }
            // A stream of its own each time: nothing repeats.
            for (int i = 0; i < alone.length; i++) {
                try (Step step = new Step(device, arena)) {
                    alone[i] = step.run(i, 1_000_000 + i);
                }
            }
        }
        assertThat(repeated).isDeepEqualTo(alone);
        assertThat(repeated[1]).isNotEqualTo(repeated[2]);
    }

    @Test
    void theChoiceOfATokenIsPartOfTheGraph() {
        try (Device device = open();
                Arena arena = Arena.ofConfined();
                Step step = new Step(device, arena)) {
            int token = 3;
            for (int i = 0; i < 6; i++) {
                float[] numbers = step.run(token, i);
                int largest = 0;
                for (int j = 1; j < WIDTH; j++) {
                    largest = numbers[j] > numbers[largest] ? j : largest;
                }
                long launches = EmulatedDriver.launches();
                long graphs = EmulatedDriver.graphLaunches();
                assertThat(step.choose(token, i)).as("token %d", i).isEqualTo(largest);
                assertThat(EmulatedDriver.launches() - launches)
                        .as("kernels of step %d", i)
                        .isEqualTo(7);
                // The first step takes scratch memory, the second is new, the third is the second again.
                if (i >= 2) {
                    assertThat(EmulatedDriver.graphLaunches() - graphs)
                            .as("graphs of step %d", i)
                            .isEqualTo(1);
                }
                token = largest;
            }
        }
    }

    @Test
    void manyDifferentStepsDropTheOldestGraphs() {
        try (Device device = open();
                Arena arena = Arena.ofConfined();
                Step step = new Step(device, arena);
                Tensor more = device.allocate(TensorSpec.of(DType.F32, 1, WIDTH))) {
            for (int round = 0; round < 2; round++) {
                for (int extra = 0; extra < 20; extra++) {
                    for (int again = 0; again < 3; again++) {
                        for (int i = 0; i < extra; i++) {
                            step.stream.add(more, more);
                        }
                        assertThat(step.run(extra % 5, extra)).hasSize(WIDTH);
                    }
                }
            }
        }
    }

    private static Device open() {
        return new CudaBackend(EmulatedDriver.library().toString(), new DirectoryImages(EmulatedDriver.kernels()))
                .open(Map.of("libraries", "none"));
    }

    /** A small decode step: its token and position change, its tensors do not. */
    private static final class Step implements AutoCloseable {
        final ComputeStream stream;
        private final MemorySegment host;
        private final Tensor table;
        private final Tensor weight;
        private final Tensor scale;
        private final Tensor x;
        private final Tensor y;
        private final Tensor z;

        Step(Device device, Arena arena) {
            stream = device.openStream();
            host = arena.allocate(4L * WIDTH * WIDTH, 4);
            for (int i = 0; i < WIDTH * WIDTH; i++) {
                host.setAtIndex(ValueLayout.JAVA_FLOAT, i, (i * 37 % 101 - 50) / 64f);
            }
            table = tensor(device, WIDTH, WIDTH);
            weight = tensor(device, WIDTH, WIDTH);
            scale = tensor(device, WIDTH);
            x = tensor(device, 1, WIDTH);
            y = tensor(device, 1, WIDTH);
            z = tensor(device, 1, WIDTH);
        }

        private Tensor tensor(Device device, long... shape) {
            Tensor tensor = device.allocate(TensorSpec.of(DType.F32, shape));
            stream.upload(host.asSlice(0, tensor.spec().byteSize()), tensor);
            return tensor;
        }

        float[] run(int token, long position) {
            queue(token, position);
            MemorySegment out = host.asSlice(0, 4 * WIDTH);
            stream.download(x, out);
            stream.synchronize();
            return out.toArray(ValueLayout.JAVA_FLOAT);
        }

        int choose(int token, long position) {
            queue(token, position);
            stream.topK(x, 1, host.asSlice(0, 4), host.asSlice(4, 4));
            stream.synchronize();
            return host.get(ValueLayout.JAVA_INT, 0);
        }

        private void queue(int token, long position) {
            stream.embed(table, new int[] {token}, x);
            stream.rmsNorm(x, scale, 1e-5f, y);
            stream.linear(y, new Projection(weight, Optional.empty(), z));
            stream.rope(z, WIDTH, ROPE, position);
            stream.add(x, z);
        }

        @Override
        public void close() {
            List.of(table, weight, scale, x, y, z).forEach(Tensor::close);
            stream.close();
        }
    }
}
