package org.duoattention.tck;

import java.util.Map;
import java.util.Set;
import java.util.function.ToDoubleFunction;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.Device;
import org.duoattention.api.tensor.DType;

/**
 * What a topic of {@link AttentionBackendContract} is applied to.
 *
 * @param backend the backend
 * @param options the options that its devices are opened with
 * @param unsupported the capabilities that it lacks
 * @param operandRounding see {@link AttentionBackendContract#operandRounding}
 * @param activationGroup see {@link AttentionBackendContract#activationGroup}
 */
record ContractSubject(
        AttentionBackend backend,
        Map<String, String> options,
        Set<Capability> unsupported,
        ToDoubleFunction<DType> operandRounding,
        int activationGroup) {
    Device open() {
        return backend.open(options);
    }

    boolean supports(Capability capability) {
        return !unsupported.contains(capability);
    }
}
