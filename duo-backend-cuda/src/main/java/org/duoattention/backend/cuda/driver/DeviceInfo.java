package org.duoattention.backend.cuda.driver;

/**
 * What a device is.
 *
 * @param name the product, for example {@code NVIDIA H100 80GB HBM3}
 * @param major major number of the compute capability
 * @param minor minor number of the compute capability
 * @param multiprocessors streaming multiprocessors
 * @param sharedBytes most shared memory that a block may have when it asks for it
 * @param totalBytes device memory
 */
public record DeviceInfo(String name, int major, int minor, int multiprocessors, int sharedBytes, long totalBytes) {
    /** The architecture as compilers name it, for example {@code sm_90}. */
    public String arch() {
        return "sm_" + major + minor;
    }
}
