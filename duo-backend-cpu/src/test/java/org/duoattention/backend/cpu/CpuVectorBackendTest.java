package org.duoattention.backend.cpu;

import java.util.Set;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.Capability;
import org.duoattention.backend.cpu.vector.VectorKernels;
import org.duoattention.tck.AttentionBackendContract;

/** The vector backend keeps the contract of backends; the build runs it once per vector width. */
class CpuVectorBackendTest extends AttentionBackendContract {
    @Override
    protected AttentionBackend backend() {
        return new CpuVectorBackend();
    }

    @Override
    protected Set<Capability> unsupported() {
        return Set.of(Capability.SCORES);
    }

    /** Inputs are rounded by default. */
    @Override
    protected int activationGroup() {
        return VectorKernels.ROUNDED_UNIT;
    }
}
