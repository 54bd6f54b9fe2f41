package org.duoattention.tck;

import org.junit.jupiter.api.Nested;

/**
 * The part of {@link AttentionBackendContract} that is about products with quantised weights: for a backend that has passed
 * the whole contract and computes these products in another way too.
 */
public abstract class QuantizedWeightsContract extends BackendUnderTest {
    @Nested
    class QuantizedWeights extends QuantizedWeightsTopic {
        @Override
        ContractSubject subject() {
            return contractSubject();
        }
    }
}
