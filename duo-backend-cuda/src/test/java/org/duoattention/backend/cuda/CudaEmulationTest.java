package org.duoattention.backend.cuda;

import java.util.Map;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.backend.cuda.kernel.DirectoryImages;

/** The contract of backends on the emulated driver. */
class CudaEmulationTest extends RoundedContract {
    @Override
    protected AttentionBackend backend() {
        return new CudaBackend(EmulatedDriver.library().toString(), new DirectoryImages(EmulatedDriver.kernels()));
    }

    @Override
    protected Map<String, String> options() {
        return Map.of("libraries", "none");
    }
}
