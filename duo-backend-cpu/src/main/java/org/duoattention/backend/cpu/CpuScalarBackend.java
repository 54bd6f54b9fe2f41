package org.duoattention.backend.cpu;

import java.util.List;
import java.util.Map;
import java.util.Set;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Probe;
import org.duoattention.api.backend.Requirements;
import org.duoattention.backend.cpu.device.CpuDevice;
import org.duoattention.backend.cpu.memory.SystemMemory;
import org.duoattention.backend.cpu.pool.Cores;
import org.duoattention.backend.cpu.scalar.ScalarKernels;

/**
 * The backend {@code cpu-scalar}: plain Java loops, the reference for the others, and the one that runs everywhere.
 *
 * <p>Option {@code threads}: number of threads, by default the physical cores.
 */
public final class CpuScalarBackend implements AttentionBackend {
    static final String ID = "cpu-scalar";
    private static final int PRIORITY = 1;

    /** For {@link java.util.ServiceLoader}. */
    public CpuScalarBackend() {}

    @Override
    public String id() {
        return ID;
    }

    @Override
    public Probe probe(Requirements requirements) {
        List<String> reasons = CpuRequirements.unmet(requirements, CpuDevice.capabilities(true));
        return reasons.isEmpty()
                ? new Probe.Usable(PRIORITY, "plain Java loops, " + Cores.physical() + " cores")
                : new Probe.Unusable(reasons);
    }

    @Override
    public Device open(Map<String, String> options) {
        CpuOptions.requireKnown(ID, options, Set.of("threads"));
        return new CpuDevice(ID, new ScalarKernels(), CpuOptions.threads(options), new SystemMemory());
    }
}
