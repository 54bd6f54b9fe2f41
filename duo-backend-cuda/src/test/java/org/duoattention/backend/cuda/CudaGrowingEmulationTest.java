package org.duoattention.backend.cuda;

import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.parallel.Isolated;

/** The contract of attention on the emulated driver with pages so small that most slabs that retain everything grow. */
@Isolated
class CudaGrowingEmulationTest extends CudaExactAttentionEmulationTest {
    @BeforeAll
    static void smallPages() {
        EmulatedDriver.setGranularity(4096);
    }

    @AfterAll
    static void largePages() {
        EmulatedDriver.setGranularity(2 << 20);
    }
}
