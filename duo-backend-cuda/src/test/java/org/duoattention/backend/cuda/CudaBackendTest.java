package org.duoattention.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.Set;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.Probe;
import org.duoattention.api.backend.Requirements;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
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
    void saysThatThereAreNoKernelsWhereTheDriverIsFound() {
        // Any library that can be loaded stands for the driver.
        String library = System.mapLibraryName("java");
        CudaBackend backend = new CudaBackend(System.getProperty("java.home") + "/lib/" + library);

        assertThat(backend.probe(REQUIREMENTS))
                .isEqualTo(new Probe.Unusable(List.of("this version has no CUDA kernels yet")));
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
