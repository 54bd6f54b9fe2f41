package org.duoattention.backend.cuda;

import java.util.Map;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.backend.cuda.kernel.DirectoryImages;
import org.duoattention.tck.QuantizedWeightsContract;

/** Products with quantised weights without any rounding of their inputs, on the emulated driver. */
class CudaExactEmulationTest extends QuantizedWeightsContract {
    @Override
    protected AttentionBackend backend() {
        return new CudaBackend(EmulatedDriver.library().toString(), new DirectoryImages(EmulatedDriver.kernels()));
    }

    @Override
    protected Map<String, String> options() {
        return Map.of("libraries", "none", "activations", "exact");
    }
}
