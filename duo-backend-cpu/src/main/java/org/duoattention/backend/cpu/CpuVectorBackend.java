package org.duoattention.backend.cpu;

import com.sun.management.HotSpotDiagnosticMXBean;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Probe;
import org.duoattention.api.backend.Requirements;
import org.duoattention.backend.cpu.device.CpuDevice;
import org.duoattention.backend.cpu.memory.SystemMemory;
import org.duoattention.backend.cpu.pool.Cores;
import org.duoattention.backend.cpu.vector.VectorKernels;

/**
 * The backend {@code cpu}: the Vector API on all physical cores.
 *
 * <p>Option {@code threads}: number of threads, by default the physical cores. Option {@code activations}: {@code int8},
 * the default, or {@code exact}. With {@code int8} the input of a linear layer is rounded to 8 bits, in groups of 32 with
 * a scale each, where that is faster: with INT4 weights whose group is a multiple of 32, up to four tokens at a
 * time. Everything else, and everything with {@code exact}, is computed in F32. The vector width is fixed per JVM by the
 * system property {@code duo.cpu.simd}: {@code auto}, {@code 512}, {@code 256} or {@code 128}.
 */
public final class CpuVectorBackend implements AttentionBackend {
    static final String ID = "cpu";
    private static final int PRIORITY = 50;
    private static final String MODULE = "jdk.incubator.vector";

    /** For {@link java.util.ServiceLoader}. */
    public CpuVectorBackend() {}

    @Override
    public String id() {
        return ID;
    }

    @Override
    public Probe probe(Requirements requirements) {
        List<String> reasons = new ArrayList<>(missing());
        reasons.addAll(CpuRequirements.unmet(requirements, CpuDevice.capabilities(VectorKernels.HAS_SCORES)));
        return reasons.isEmpty()
                ? new Probe.Usable(PRIORITY, new VectorKernels(true).description() + ", " + Cores.physical() + " cores")
                : new Probe.Unusable(reasons);
    }

    /** What this JVM or processor lacks. Nothing here touches a class of the incubator module. */
    private static List<String> missing() {
        if (ModuleLayer.boot().findModule(MODULE).isEmpty()) {
            return List.of("needs " + MODULE + "; add --add-modules " + MODULE);
        }
        List<String> reasons = new ArrayList<>();
        VectorKernels.problem().ifPresent(reasons::add);
        if (!hasMultiplyAdd()) {
            reasons.add("the processor or the JVM has no fused multiply-add; choose the backend cpu-scalar");
        }
        return reasons;
    }

    /** Without the instruction the JVM computes multiply-add exactly, in software, thousands of times slower. */
    private static boolean hasMultiplyAdd() {
        HotSpotDiagnosticMXBean vm = ManagementFactory.getPlatformMXBean(HotSpotDiagnosticMXBean.class);
        try {
            return vm == null || Boolean.parseBoolean(vm.getVMOption("UseFMA").getValue());
        } catch (IllegalArgumentException e) {
            // Another JVM than HotSpot: nothing is known.
            return true;
        }
    }

    @Override
    public Device open(Map<String, String> options) {
        CpuOptions.requireKnown(ID, options, Set.of("threads", "activations"));
        Optional<String> problem = missing().stream().findFirst();
        if (problem.isPresent()) {
            throw new IllegalStateException("the backend cpu cannot run: " + problem.get());
        }
        VectorKernels kernels = new VectorKernels(CpuOptions.roundActivations(options));
        return new CpuDevice(ID, kernels, CpuOptions.threads(options), new SystemMemory());
    }
}
