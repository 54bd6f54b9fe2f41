package org.duoattention.backend.cuda;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Probe;
import org.duoattention.api.backend.Requirements;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.backend.cuda.driver.Context;
import org.duoattention.backend.cuda.driver.CudaException;
import org.duoattention.backend.cuda.driver.Driver;
import org.duoattention.backend.cuda.kernel.KernelImages;
import org.duoattention.backend.cuda.kernel.StandardKernelImages;
import org.duoattention.backend.cuda.probe.DriverProbe;
import org.duoattention.backend.cuda.probe.DriverProbe.Answer;
import org.duoattention.backend.cuda.probe.Gpu;

/**
 * The backend {@code cuda}: one NVIDIA GPU by its driver alone.
 *
 * <p>Option {@code device}: number of the GPU, by default the first that can be used. Option {@code activations}: {@code
 * rounded}, the default, or {@code exact}. With {@code rounded} tensor cores compute layers of more than eight tokens: the
 * input is rounded to the type of a 16-bit weight, or to bfloat16 where the weight is quantised, and sums are F32; the
 * queries and probabilities of a prefill are rounded to the type of a 16-bit cache. With {@code exact} everything is computed
 * in F32, as on the CPU; over a quantised cache it always is, to that precision. Option {@code libraries}: {@code auto}, the default, or
 * {@code none}: whether NVIDIA's libraries compute what they compute faster, where they are found.
 *
 * <p>System property {@code duo.cuda.driver}: the driver's library, by default {@code libcuda.so.1}. Where kernels come from is told by {@link StandardKernelImages}.
 */
public final class CudaBackend implements AttentionBackend {
    static final String ID = "cuda";
    private static final int PRIORITY = 100;
    private static final Set<DType> WEIGHTS = Set.of(DType.F32, DType.F16, DType.BF16);

    private final Optional<String> driver;
    private final Optional<KernelImages> images;

    /** For {@link java.util.ServiceLoader}. */
    public CudaBackend() {
        this.driver = Optional.empty();
        this.images = Optional.empty();
    }

    CudaBackend(String driver) {
        this.driver = Optional.of(driver);
        this.images = Optional.empty();
    }

    CudaBackend(String driver, KernelImages images) {
        this.driver = Optional.of(driver);
        this.images = Optional.of(images);
    }

    @Override
    public String id() {
        return ID;
    }

    @Override
    public Probe probe(Requirements requirements) {
        return switch (drivers().first(Optional.of(requirements))) {
            case Answer.Unusable unusable -> new Probe.Unusable(List.of(unusable.reason()));
            case Answer.Usable usable -> {
                List<String> reasons = new ArrayList<>(unmet(requirements));
                noKernels(usable.gpu()).ifPresent(reasons::add);
                yield reasons.isEmpty()
                        ? new Probe.Usable(PRIORITY, usable.gpu().description())
                        : new Probe.Unusable(reasons);
            }
        };
    }

    private DriverProbe drivers() {
        return new DriverProbe(library(), Driver.FUNCTIONS);
    }

    private String library() {
        return driver.orElseGet(() -> System.getProperty(Driver.PROPERTY, Driver.DEFAULT_LIBRARY));
    }

    private Optional<String> noKernels(Gpu gpu) {
        return images.isPresent()
                ? Optional.empty()
                : StandardKernelImages.of(gpu.driverVersion()).problem(gpu.arch());
    }

    private static List<String> unmet(Requirements requirements) {
        List<String> reasons = new ArrayList<>();
        for (DType type : new TreeSet<>(requirements.weightTypes())) {
            if (!WEIGHTS.contains(type)) {
                reasons.add("weights of type " + type + " are not supported; convert them to F32, F16 or BF16");
            }
        }
        Set<Capability> capabilities = CudaDevice.everyCapability();
        if (requirements.kv() instanceof BlockFormat.Grouped grouped) {
            if (!capabilities.contains(Capability.QUANTIZED_CACHE)) {
                reasons.add(Capability.QUANTIZED_CACHE.label() + " is not supported");
            } else if (!(grouped.asymmetric() && grouped.scaleType() == DType.F16)) {
                reasons.add("kv=" + grouped.label() + " is supported with offsets and F16 scales only");
            }
        }
        for (Capability capability : new TreeSet<>(requirements.capabilities())) {
            if (!capabilities.contains(capability)) {
                reasons.add(capability.label() + " are not supported; choose the backend cpu");
            }
        }
        return reasons;
    }

    @Override
    public Device open(Map<String, String> options) {
        CudaOptions given = CudaOptions.of(options);
        CudaOptions read = library().equals(Driver.DEFAULT_LIBRARY) ? given : given.withoutLibraries();
        Answer answer = read.device().isEmpty()
                ? drivers().first(Optional.empty())
                : drivers().look(read.device().getAsInt());
        if (answer instanceof Answer.Unusable unusable) {
            throw new IllegalStateException("backend " + ID + " cannot be opened: " + unusable.reason());
        }
        Gpu gpu = ((Answer.Usable) answer).gpu();
        Optional<String> problem = noKernels(gpu);
        if (problem.isPresent()) {
            throw new IllegalStateException("backend " + ID + " cannot be opened: " + problem.get());
        }
        KernelImages kernels = images.orElseGet(() -> StandardKernelImages.of(gpu.driverVersion()));
        try {
            return new CudaDevice(
                    Context.open(Driver.load(library()), gpu.ordinal()),
                    kernels,
                    read,
                    read.libraries() && library().equals(Driver.DEFAULT_LIBRARY));
        } catch (CudaException e) {
            throw new IllegalStateException(
                    "backend " + ID + " cannot be opened: GPU " + gpu.ordinal() + " is there, but " + e.getMessage(),
                    e);
        }
    }
}
