package org.duoattention.backend.cuda;

import java.util.EnumSet;
import java.util.Map;
import java.util.Set;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.Capability;
import org.duoattention.backend.cuda.kernel.DirectoryImages;
import org.duoattention.tck.AttentionContract;

/** Attention without any rounding of queries and probabilities, on the emulated driver. */
class CudaExactAttentionEmulationTest extends AttentionContract {
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
