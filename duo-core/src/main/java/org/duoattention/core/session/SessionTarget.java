package org.duoattention.core.session;

import java.nio.file.Path;
import java.util.Set;
import java.util.function.Function;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Probe;
import org.duoattention.api.backend.Requirements;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.core.DuoException;
import org.duoattention.core.model.Activations;
import org.duoattention.core.model.ModelConfig;

/**
 * What sessions are planned for: a configuration on a device, with or without weights.
 *
 * @param directory where the model's files lie
 * @param requirements what the weights need of a backend
 * @param opener opens what was planned
 */
record SessionTarget(
        Duo duo,
        ModelConfig config,
        Path directory,
        Device device,
        Requirements requirements,
        Function<SessionPlan, Session> opener) {
    String name() {
        return requirements.model();
    }

    ModelShape shape() {
        return config.shape();
    }

    long activationBytes(int chunk) {
        return Math.addExact(Activations.bytes(device, shape(), chunk), LastLogits.bytes(device, shape()));
    }

    Session openSession(SessionPlan plan) {
        return opener.apply(plan);
    }

    /** Refuses what this device's backend cannot do for a policy and a cache format. */
    void requireBackend(String policy, BlockFormat kv, Set<Capability> needed) {
        for (Capability capability : needed) {
            if (!device.capabilities().contains(capability)) {
                throw new DuoException("Policy " + policy + " needs " + capability.label() + ", which backend "
                        + device.backendId() + " does not offer; choose another policy or backend");
            }
        }
        if (kv instanceof BlockFormat.Grouped && !device.capabilities().contains(Capability.QUANTIZED_CACHE)) {
            throw new DuoException("kv " + kv.label() + " needs " + Capability.QUANTIZED_CACHE.label()
                    + ", which backend " + device.backendId() + " does not offer; choose f32, f16 or bf16");
        }
        Requirements full = new Requirements(name(), shape(), requirements.weightTypes(), kv, Set.copyOf(needed));
        Probe probe = duo.backends().probe(device.backendId(), full);
        if (probe instanceof Probe.Unusable unusable) {
            throw new DuoException("Backend " + device.backendId() + " cannot run " + name() + " with kv " + kv.label()
                    + ": " + String.join("; ", unusable.reasons()));
        }
    }
}
