package org.duoattention.backend.cuda.probe;

import java.util.Locale;

/**
 * A GPU that can be used.
 *
 * @param ordinal its number, from 0
 * @param name the product
 * @param major major number of the compute capability
 * @param minor minor number of the compute capability
 * @param memoryBytes all its memory, whoever uses it now
 * @param driverVersion the version of CUDA that the driver supports, as the driver says it: 13000 for 13.0
 */
public record Gpu(int ordinal, String name, int major, int minor, long memoryBytes, int driverVersion) {
    /** The architecture as compilers name it, for example {@code sm_90}. */
    public String arch() {
        return "sm_" + major + minor;
    }

    /** One line for people. */
    public String description() {
        return "GPU " + ordinal + ", " + name + ", " + gigabytes(memoryBytes) + ", driver for CUDA "
                + version(driverVersion);
    }

    static String version(int version) {
        return version / 1000 + "." + version % 1000 / 10;
    }

    static String gigabytes(long bytes) {
        return String.format(Locale.ROOT, "%.1f GB", bytes / 1e9);
    }
}
