package org.duoattention.tck;

import org.duoattention.api.backend.AttentionBackend;

/** The fake passes the contract that it stands in for. */
class OpaqueBackendTest extends AttentionBackendContract {
    @Override
    protected AttentionBackend backend() {
        return new OpaqueBackend();
    }
}
