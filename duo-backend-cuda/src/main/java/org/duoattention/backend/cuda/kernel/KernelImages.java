package org.duoattention.backend.cuda.kernel;

/** Compiled kernels. The images are opaque to the host: the driver reads them. */
public interface KernelImages {
    /**
     * The image of one source.
     *
     * @param source name of the file in {@code src/main/cuda}, without {@code .cu}
     * @param arch the device's architecture, for example {@code sm_90}
     * @throws IllegalStateException with one sentence for the user when there is none
     */
    byte[] image(String source, String arch);
}
