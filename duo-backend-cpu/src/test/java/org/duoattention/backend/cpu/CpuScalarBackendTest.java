package org.duoattention.backend.cpu;

import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.tck.AttentionBackendContract;

/** The scalar backend keeps the contract of backends. */
class CpuScalarBackendTest extends AttentionBackendContract {
    @Override
    protected AttentionBackend backend() {
        return new CpuScalarBackend();
    }
}
