package org.duoattention.tck;

import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;

/**
 * What every backend has to pass. Extend it, return the backend from {@link #backend()}, and name what it cannot do in
 * {@link #unsupported()}: everything else is required, and what is named must be refused in the specified way.
 *
 * <p>Results are compared with double precision; the allowed error of each operation follows from its arithmetic in
 * binary32 and is stated in {@code ErrorBounds}.
 *
 * <p>The topics share nothing and may run at the same time where JUnit is told to; the tests of one topic run one by one.
 */
@Execution(ExecutionMode.CONCURRENT)
public abstract class AttentionBackendContract extends BackendUnderTest {
    @Nested
    class Transfers extends TransferTopic {
        @Override
        ContractSubject subject() {
            return contractSubject();
        }
    }

    @Nested
    class DenseOperations extends DenseTopic {
        @Override
        ContractSubject subject() {
            return contractSubject();
        }
    }

    @Nested
    class Selection extends TopKTopic {
        @Override
        ContractSubject subject() {
            return contractSubject();
        }
    }

    @Nested
    class Attention extends AttentionTopic {
        @Override
        ContractSubject subject() {
            return contractSubject();
        }
    }

    @Nested
    class QuantizedWeights extends QuantizedWeightsTopic {
        @Override
        ContractSubject subject() {
            return contractSubject();
        }
    }

    @Nested
    class BackwardOperations extends GradientsTopic {
        @Override
        ContractSubject subject() {
            return contractSubject();
        }
    }

    @Nested
    class StreamingGradients extends StreamingGradientsTopic {
        @Override
        ContractSubject subject() {
            return contractSubject();
        }
    }

    @Nested
    class GradientArguments extends GradientArgumentsTopic {
        @Override
        ContractSubject subject() {
            return contractSubject();
        }
    }

    @Nested
    class QuantizedCache extends QuantizedCacheTopic {
        @Override
        ContractSubject subject() {
            return contractSubject();
        }
    }

    @Nested
    class Rollback extends RollbackTopic {
        @Override
        ContractSubject subject() {
            return contractSubject();
        }
    }

    @Nested
    class Compaction extends CompactionTopic {
        @Override
        ContractSubject subject() {
            return contractSubject();
        }
    }

    @Nested
    class Snapshots extends SnapshotTopic {
        @Override
        ContractSubject subject() {
            return contractSubject();
        }
    }

    @Nested
    class Lifecycle extends LifecycleTopic {
        @Override
        ContractSubject subject() {
            return contractSubject();
        }
    }

    @Nested
    class Identity extends IdentityTopic {
        @Override
        ContractSubject subject() {
            return contractSubject();
        }
    }
}
