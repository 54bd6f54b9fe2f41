package org.duoattention.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.Set;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Probe;
import org.duoattention.api.backend.Requirements;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.backend.cuda.kernel.DirectoryImages;
import org.junit.jupiter.api.Test;

class CudaBackendTest {
    private static final Requirements REQUIREMENTS = new Requirements(
            "tiny", new ModelShape(1, 8, 2, 1, 4, 8, 10), Set.of(DType.F32), BlockFormat.F32, Set.of());

    @Test
    void namesTheDriverThatIsMissing() {
        CudaBackend backend = new CudaBackend("libduo-no-such-driver.so.1");

        assertThat(backend.probe(REQUIREMENTS))
                .isEqualTo(new Probe.Unusable(List.of("driver not found (libduo-no-such-driver.so.1)")));
    }

    @Test
    void describesTheGpu() {
        CudaBackend backend = emulated();

        assertThat(backend.probe(REQUIREMENTS))
                .isInstanceOfSatisfying(
                        Probe.Usable.class,
                        usable -> assertThat(usable.description()).startsWith("GPU 0, "));
    }

    @Test
    void opensTheDeviceThatIsAskedFor() {
        CudaBackend backend = emulated();

        try (Device device = backend.open(Map.of("device", "0"))) {
            assertThat(device.backendId()).isEqualTo("cuda");
        }
        assertThatThrownBy(() -> backend.open(Map.of("device", "7")))
                .isInstanceOf(IllegalStateException.class)
                .hasMessage("backend cuda cannot be opened: there is no GPU 7; the only one is 0");
        assertThatThrownBy(() -> backend.open(Map.of("device", "first")))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("option device must be the number of a GPU, not 'first'");
        assertThatThrownBy(() -> backend.open(Map.of("threads", "2")))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("backend cuda has no option 'threads'; it has activations, device, libraries");
    }

    private static CudaBackend emulated() {
        return new CudaBackend(EmulatedDriver.library().toString(), new DirectoryImages(EmulatedDriver.kernels()));
    }

    @Test
    void isNotOpened() {
        CudaBackend backend = new CudaBackend("libduo-no-such-driver.so.1");

        assertThatThrownBy(() -> backend.open(Map.of()))
                .isInstanceOf(IllegalStateException.class)
                .hasMessage("backend cuda cannot be opened: driver not found (libduo-no-such-driver.so.1)");
    }

    @Test
    void isFoundAsAService() {
        assertThat(ServiceLoader.load(AttentionBackend.class).stream().map(ServiceLoader.Provider::type))
                .contains(CudaBackend.class);
    }
}
