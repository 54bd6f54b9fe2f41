package org.duoattention.backend.cuda;

import java.util.Map;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.tck.AttentionBackendContract;
import org.junit.jupiter.api.condition.EnabledIf;

/** The contract of backends without any rounding of operands, on the GPU of this machine, where there is one. */
@EnabledIf(
        value = "org.duoattention.backend.cuda.CudaGpuTest#hasGpu",
        disabledReason = "no GPU that can be used: the contract is tested on the emulated driver only")
class CudaExactGpuTest extends AttentionBackendContract {
    @Override
    protected AttentionBackend backend() {
        return new CudaBackend();
    }

    @Override
    protected Map<String, String> options() {
        return Map.of("libraries", "none", "activations", "exact");
    }
}
