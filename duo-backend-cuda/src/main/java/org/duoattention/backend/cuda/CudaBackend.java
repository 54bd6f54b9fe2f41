package org.duoattention.backend.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Path;
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
import org.duoattention.backend.cuda.kernel.DirectoryImages;
import org.duoattention.backend.cuda.kernel.KernelImages;

/**
 * The backend {@code cuda}: one NVIDIA GPU by its driver alone.
 *
 * <p>Option {@code device}: number of the GPU, 0 by default. System property {@code duo.cuda.driver}: the driver's
 * library, by default {@code libcuda.so.1}. System property {@code duo.cuda.kernels}: a directory with compiled kernels,
 * files {@code NAME.cubin}.
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
        Optional<String> problem = problem();
        List<String> reasons = new ArrayList<>();
        problem.ifPresent(reasons::add);
        if (problem.isEmpty()) {
            reasons.addAll(unmet(requirements));
        }
        if (!reasons.isEmpty()) {
            return new Probe.Unusable(reasons);
        }
        try (Context context = Context.open(Driver.load(library()), 0)) {
            return new Probe.Usable(PRIORITY, context.info().name());
        }
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

    private String library() {
        return driver.orElseGet(() -> System.getProperty(Driver.PROPERTY, Driver.DEFAULT_LIBRARY));
    }

    /** Where the kernels come from, if they come from anywhere. */
    private Optional<KernelImages> images() {
        if (images.isPresent()) {
            return images;
        }
        return Optional.ofNullable(System.getProperty(DirectoryImages.PROPERTY))
                .map(directory -> new DirectoryImages(Path.of(directory)));
    }

    /** Why no device can be opened, whatever is asked of it. A missing library is an exception here, not a linkage error. */
    private Optional<String> problem() {
        if (images().isEmpty()) {
            return Optional.of(libraryProblem().orElse("this version has no CUDA kernels yet"));
        }
        Optional<String> problem = libraryProblem();
        if (problem.isPresent()) {
            return problem;
        }
        try (Context context = Context.open(Driver.load(library()), 0)) {
            return Optional.empty();
        } catch (CudaException | IllegalStateException e) {
            return Optional.of(String.valueOf(e.getMessage()));
        }
    }

    private Optional<String> libraryProblem() {
        try (Arena arena = Arena.ofConfined()) {
            SymbolLookup.libraryLookup(library(), arena);
            return Optional.empty();
        } catch (IllegalCallerException e) {
            return Optional.of("native access is not enabled; add --enable-native-access=ALL-UNNAMED");
        } catch (IllegalArgumentException e) {
            return Optional.of("driver not found (" + library() + ")");
        }
    }

    @Override
    public Device open(Map<String, String> options) {
        int ordinal = 0;
        for (String name : new TreeSet<>(options.keySet())) {
            if (!name.equals("device")) {
                throw new IllegalArgumentException("backend " + ID + " has no option '" + name + "'; it has device");
            }
            try {
                ordinal = Integer.parseInt(options.get(name));
            } catch (NumberFormatException e) {
                throw new IllegalArgumentException(
                        "option device must be the number of a GPU, not '" + options.get(name) + "'", e);
            }
        }
        Optional<String> problem = problem();
        if (problem.isPresent()) {
            throw new IllegalStateException("backend cuda cannot be opened: " + problem.get());
        }
        return new CudaDevice(Context.open(Driver.load(library()), ordinal), images().orElseThrow());
    }
}
