package org.duoattention.backend.cpu;

import java.util.Map;
import java.util.Set;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.Capability;
import org.duoattention.tck.QuantizedWeightsContract;

/**
 * Products with quantised weights keep the contract when the vector backend does not round their inputs, which changes
 * nothing else; the build runs it once per vector width.
 */
class CpuVectorExactTest extends QuantizedWeightsContract {
    @Override
    protected AttentionBackend backend() {
        return new CpuVectorBackend();
    }

    @Override
    protected Set<Capability> unsupported() {
        return Set.of(Capability.SCORES);
    }

    @Override
    protected Map<String, String> options() {
        return Map.of("activations", "exact");
    }
}
