package org.duoattention.tck;

import java.util.EnumSet;
import java.util.Set;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.Capability;

/** A backend may lack every capability, if it says so. */
class OpaqueBackendWithoutCapabilitiesTest extends AttentionBackendContract {
    @Override
    protected AttentionBackend backend() {
        return new OpaqueBackend(OpaqueBackend.DEFAULT_MEMORY, unsupported());
    }

    @Override
    protected Set<Capability> unsupported() {
        return EnumSet.allOf(Capability.class);
    }
}
