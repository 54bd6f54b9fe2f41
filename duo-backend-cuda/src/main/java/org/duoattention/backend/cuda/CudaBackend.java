package org.duoattention.backend.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.util.List;
import java.util.Map;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Probe;
import org.duoattention.api.backend.Requirements;

/**
 * The backend {@code cuda}. This version looks for NVIDIA's driver and says what it found; it has no kernels yet, so it
 * is never usable.
 */
public final class CudaBackend implements AttentionBackend {
    private static final String DRIVER = "libcuda.so.1";

    private final String driver;

    /** For {@link java.util.ServiceLoader}. */
    public CudaBackend() {
        this(DRIVER);
    }

    CudaBackend(String driver) {
        this.driver = driver;
    }

    @Override
    public String id() {
        return "cuda";
    }

    @Override
    public Probe probe(Requirements requirements) {
        return new Probe.Unusable(List.of(reason()));
    }

    /** Looks for the driver without JNI: a missing library is an exception here, not a linkage error. */
    private String reason() {
        try (Arena arena = Arena.ofConfined()) {
            SymbolLookup.libraryLookup(driver, arena);
            return "this version has no CUDA kernels yet";
        } catch (IllegalCallerException e) {
            return "native access is not enabled; add --enable-native-access=ALL-UNNAMED";
        } catch (IllegalArgumentException e) {
            return "driver not found (" + driver + ")";
        }
    }

    @Override
    public Device open(Map<String, String> options) {
        throw new IllegalStateException("backend cuda cannot be opened: " + reason());
    }
}
