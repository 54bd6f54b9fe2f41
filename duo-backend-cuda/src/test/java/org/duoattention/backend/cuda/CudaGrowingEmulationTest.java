package org.duoattention.backend.cuda;

import java.util.EnumSet;
import java.util.Map;
import java.util.Set;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.Capability;
import org.duoattention.backend.cuda.kernel.DirectoryImages;
import org.duoattention.tck.AttentionContract;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.parallel.Isolated;

/** The contract of attention on the emulated driver with pages so small that most slabs that retain everything grow. */
@Isolated
class CudaGrowingEmulationTest extends AttentionContract {
    @BeforeAll
    static void smallPages() {
        EmulatedDriver.setGranularity(4096);
    }

    @AfterAll
    static void largePages() {
        EmulatedDriver.setGranularity(2 << 20);
    }

    @Override
    protected AttentionBackend backend() {
        return new CudaBackend(EmulatedDriver.library().toString(), new DirectoryImages(EmulatedDriver.kernels()));
    }

    @Override
    protected Set<Capability> unsupported() {
        return EnumSet.of(Capability.GRADIENTS);
    }

    @Override
    protected Map<String, String> options() {
        return Map.of("libraries", "none", "activations", "exact");
    }
}
