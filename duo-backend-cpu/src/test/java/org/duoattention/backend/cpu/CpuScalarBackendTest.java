package org.duoattention.backend.cpu;

import java.util.Set;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.Capability;
import org.duoattention.tck.AttentionBackendContract;

/** The scalar backend keeps the contract of backends. */
class CpuScalarBackendTest extends AttentionBackendContract {
    @Override
    protected AttentionBackend backend() {
        return new CpuScalarBackend();
    }

    @Override
    protected Set<Capability> unsupported() {
        return Set.of(Capability.GRADIENTS);
    }
}
