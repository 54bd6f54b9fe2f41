package org.duoattention.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.backend.cuda.kernel.DirectoryImages;
import org.junit.jupiter.api.Test;

/** Closing a tensor flushes the queues of all streams, also while their owners queue operations with variables. */
class ConcurrentCloseTest {
    private static final int WIDTH = 4;

    @Test
    void operationsKeepTheirVariables() throws Exception {
        try (Device device = new CudaBackend(
                                EmulatedDriver.library().toString(), new DirectoryImages(EmulatedDriver.kernels()))
                        .open(Map.of());
                Arena arena = Arena.ofConfined();
                ComputeStream stream = device.openStream();
                Tensor table = device.allocate(TensorSpec.of(DType.F32, 16, WIDTH));
                Tensor out = device.allocate(TensorSpec.of(DType.F32, 1, WIDTH));
                Tensor sum = device.allocate(TensorSpec.of(DType.F32, 1, WIDTH))) {
            MemorySegment host = arena.allocate(16 * WIDTH * 4, 4);
            for (int i = 0; i < 16 * WIDTH; i++) {
                host.setAtIndex(ValueLayout.JAVA_FLOAT, i, i / WIDTH);
            }
            stream.upload(host, table);
            AtomicBoolean stop = new AtomicBoolean();
            Thread closer = Thread.ofPlatform().start(() -> {
                while (!stop.get()) {
                    device.allocate(TensorSpec.of(DType.F32, 8)).close();
                }
            });
            long expected = 0;
            try {
                for (int i = 0; i < 2000; i++) {
                    stream.embed(table, new int[] {i * 7 % 16}, out);
                    stream.add(sum, out);
                    expected += i * 7 % 16;
                }
            } finally {
                stop.set(true);
                closer.join();
            }
            MemorySegment row = host.asSlice(0, WIDTH * 4);
            stream.download(sum, row);
            stream.synchronize();
            assertThat(row.toArray(ValueLayout.JAVA_FLOAT)).containsOnly((float) expected);
        }
    }
}
