package org.duoattention.backend.cuda;

import java.util.EnumSet;
import java.util.Set;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.Capability;
import org.duoattention.backend.cuda.kernel.DirectoryImages;
import org.duoattention.tck.AttentionBackendContract;

/** The contract of backends on the emulated driver. */
class CudaEmulationTest extends AttentionBackendContract {
    @Override
    protected AttentionBackend backend() {
        return new CudaBackend(EmulatedDriver.library().toString(), new DirectoryImages(EmulatedDriver.kernels()));
    }

    @Override
    protected Set<Capability> unsupported() {
        return EnumSet.of(Capability.GRADIENTS);
    }
}
