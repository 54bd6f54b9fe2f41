package org.duoattention.tck;

import org.junit.jupiter.api.Nested;

/**
 * The part of {@link AttentionBackendContract} that is about attention: for a backend that has passed the whole contract and
 * computes attention in another way too.
 */
public abstract class AttentionContract extends BackendUnderTest {
    @Nested
    class Attention extends AttentionTopic {
        @Override
        ContractSubject subject() {
            return contractSubject();
        }
    }
}
