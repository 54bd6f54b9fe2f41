package org.duoattention.tck;

import java.util.Map;
import java.util.Set;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.tensor.DType;

/** What a contract has to know of the backend that it is applied to. */
abstract class BackendUnderTest {
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

    ContractSubject contractSubject() {
        return new ContractSubject(backend(), options(), unsupported(), this::operandRounding, activationGroup());
    }
}
