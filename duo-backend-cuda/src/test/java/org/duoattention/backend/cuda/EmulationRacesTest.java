package org.duoattention.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Map;
import java.util.stream.IntStream;
import org.duoattention.api.backend.Device;
import org.duoattention.backend.cuda.driver.DeviceMemory;
import org.duoattention.backend.cuda.kernel.DirectoryImages;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The emulation runs threads in orders that show what a real scheduler would do to a kernel that lacks a barrier. */
class EmulationRacesTest {
    private static final int THREADS = 64;
    private static final int SHARED_BYTES = 512;
    /** Each has an order of its own; a race shows in one of three or so. */
    private static final int LAUNCHES = 30;

    @ParameterizedTest
    @CsvSource({
        "with_barrier, false, false",
        "without_barrier, false, true",
        "without_syncwarp, false, true",
        "refill_with_barrier, true, false",
        "refill_without_barrier, true, true",
        "without_wait, true, true"
    })
    void aMissingBarrierIsFound(String name, boolean reads, boolean races) {
        int[] expected = IntStream.rangeClosed(1, THREADS).toArray();
        CudaBackend backend =
                new CudaBackend(EmulatedDriver.library().toString(), new DirectoryImages(EmulatedDriver.kernels()));
        int wrong = 0;
        try (Device opened = backend.open(Map.of("libraries", "none"))) {
            CudaDevice device = (CudaDevice) opened;
            DeviceMemory.Block block = device.memory().allocate("numbers", 3L * THREADS * Integer.BYTES);
            long out = block.address() + 2L * THREADS * Integer.BYTES;
            try (Launches launches = new Launches(device.context(), device.memory())) {
                int[] numbers = IntStream.rangeClosed(1, 3 * THREADS).toArray();
                launches.upload(MemorySegment.ofArray(numbers), block.address());
                for (int i = 0; i < LAUNCHES; i++) {
                    long[] arguments = reads ? new long[] {block.address(), out} : new long[] {out};
                    launches.launch(device.kernels().get("races", name), 1, 1, 1, THREADS, SHARED_BYTES, arguments);
                    int[] actual = new int[THREADS];
                    launches.download(out, MemorySegment.ofArray(actual));
                    wrong += Arrays.equals(actual, expected) ? 0 : 1;
                }
            }
            device.memory().free(block);
        }

        assertThat(wrong > 0)
                .as("%s gave %d wrong results of %d", name, wrong, LAUNCHES)
                .isEqualTo(races);
    }
}
