package org.duoattention.backend.cuda;

import java.util.Optional;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.backend.cuda.driver.Driver;
import org.duoattention.backend.cuda.probe.DriverProbe;
import org.junit.jupiter.api.condition.EnabledIf;

/** The contract of backends on the GPU of this machine, where there is one. */
@EnabledIf(
        value = "hasGpu",
        disabledReason = "no GPU that can be used: the contract is tested on the emulated driver only")
class CudaGpuTest extends RoundedContract {
    static boolean hasGpu() {
        String library = System.getProperty(Driver.PROPERTY, Driver.DEFAULT_LIBRARY);
        return new DriverProbe(library, Driver.FUNCTIONS).first(Optional.empty()) instanceof DriverProbe.Answer.Usable;
    }

    @Override
    protected AttentionBackend backend() {
        return new CudaBackend();
    }
}
