package org.duoattention.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.TensorSpec;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.Isolated;

/** Devices give back their memory and their threads, also what the user forgot to close. */
@Isolated("it looks at the whole process")
class LeakTest {
    private static final Path STATUS = Path.of("/proc/self/status");
    private static final long MIB = 1 << 20;

    @Test
    void aHundredDevicesLeaveNothingBehind() throws IOException {
        assumeTrue(Files.isReadable(STATUS), "skipped: the system does not tell what the process takes");
        long before = 0;
        for (int round = 0; round < 100; round++) {
            if (round == 10) {
                before = residentBytes();
            }
            useAndForget();
        }
        assertThat(residentBytes() - before).isLessThan(200 * MIB);
        assertThat(Thread.getAllStackTraces().keySet())
                .noneMatch(thread -> thread.getName().startsWith("duo-cpu"));
    }

    /** Takes, touches and forgets 24 MiB, which 90 times are ten times what the test allows. */
    private static void useAndForget() {
        ModelShape shape = new ModelShape(1, 64, 8, 8, 64, 64, 10);
        try (Arena arena = Arena.ofShared();
                Device device = new CpuScalarBackend().open(Map.of())) {
            ComputeStream stream = device.openStream();
            TensorSpec spec = TensorSpec.of(DType.F32, 512, shape.kvWidth());
            Tensor k = device.allocate(spec);
            Slab slab = device.allocate(
                    new SlabSpec(shape, 0, HeadSet.range(8), BlockFormat.F32, new Retention.All(), 6144, 512, 0));
            for (int chunk = 0; chunk < 12; chunk++) {
                stream.append(slab, k, k);
            }
            device.adopt(new HostTensor(TensorSpec.of(DType.F32, 4), arena.allocate(16)));
        }
    }

    private static long residentBytes() throws IOException {
        for (String line : Files.readAllLines(STATUS)) {
            if (line.startsWith("VmRSS:")) {
                return Long.parseLong(line.replaceAll("\\D", "")) * 1024;
            }
        }
        throw new IOException("no VmRSS in " + STATUS);
    }
}
