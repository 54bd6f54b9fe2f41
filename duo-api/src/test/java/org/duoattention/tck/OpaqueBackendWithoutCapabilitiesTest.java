package org.duoattention.tck;

import java.util.EnumSet;
import java.util.Map;
import java.util.Set;
import org.duoattention.api.backend.Capability;
import org.junit.jupiter.api.Nested;

/** A backend may lack every capability, if it says so. The topics are those that depend on capabilities. */
class OpaqueBackendWithoutCapabilitiesTest {
    private static ContractSubject withoutCapabilities() {
        Set<Capability> all = EnumSet.allOf(Capability.class);
        return new ContractSubject(new OpaqueBackend(OpaqueBackend.DEFAULT_MEMORY, all), Map.of(), all, dtype -> 0, 0);
    }

    @Nested
    class Compaction extends CompactionTopic {
        @Override
        ContractSubject subject() {
            return withoutCapabilities();
        }
    }

    @Nested
    class Lifecycle extends LifecycleTopic {
        @Override
        ContractSubject subject() {
            return withoutCapabilities();
        }
    }

    @Nested
    class Identity extends IdentityTopic {
        @Override
        ContractSubject subject() {
            return withoutCapabilities();
        }
    }
}
