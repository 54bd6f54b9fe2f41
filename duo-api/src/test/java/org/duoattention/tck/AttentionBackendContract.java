package org.duoattention.tck;

import java.util.Map;
import java.util.Set;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.tensor.DType;
import org.junit.jupiter.api.Nested;

/**
 * What every backend has to pass. Extend it, return the backend from {@link #backend()}, and name what it cannot do in
 * {@link #unsupported()}: everything else is required, and what is named must be refused in the specified way.
 *
 * <p>Results are compared with double precision; the allowed error of each operation follows from its arithmetic in
 * binary32 and is stated in {@code ErrorBounds}.
 */
public abstract class AttentionBackendContract {
    /** The backend; called once per topic. A machine that cannot run it is a failed assumption, to be made here. */
    protected abstract AttentionBackend backend();

    /** The capabilities that the backend lacks; none by default. */
    protected Set<Capability> unsupported() {
        return Set.of();
    }

    /** The options that devices are opened with; none by default. */
    protected Map<String, String> options() {
        return Map.of();
    }

    /**
     * The relative size of the rounding that F32 operands undergo before they are multiplied with numbers stored as
     * {@code stored}; 0 by default. A backend whose matrix units take both operands in the stored type overrides it,
     * and the error bounds grow accordingly.
     */
    protected double operandRounding(DType stored) {
        return 0;
    }

    /**
     * How many elements of an input share a scale when the backend rounds it to 8 bits before it multiplies it with a
     * quantised weight; 0, the default, when it does not round.
     */
    protected int activationGroup() {
        return 0;
    }

    private ContractSubject contractSubject() {
        return new ContractSubject(backend(), options(), unsupported(), this::operandRounding, activationGroup());
    }

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
