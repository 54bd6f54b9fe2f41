package org.duoattention.backend.cuda;

import java.util.Map;
import org.duoattention.backend.cuda.driver.Context;
import org.duoattention.backend.cuda.driver.Driver;
import org.duoattention.backend.cuda.kernel.DirectoryImages;

/** Opens a device on the emulated driver with stand-ins for NVIDIA's libraries, in a process of its own; prints what it is. */
final class ProductsProgram {
    private ProductsProgram() {}

    public static void main(String[] arguments) {
        Context context = Context.open(Driver.load(arguments[0]), 0);
        try (CudaDevice device = new CudaDevice(
                context, new DirectoryImages(EmulatedDriver.kernels()), CudaOptions.of(Map.of()), true)) {
            System.out.println(device.description());
            System.out.println(device.products().product().isPresent() + ", allocated " + device.allocatedBytes());
        }
    }
}
