package org.duoattention.backend.cuda.driver;

/** A call of the driver API that failed. */
public final class CudaException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** {@code CUDA_ERROR_OUT_OF_MEMORY}. */
    public static final int OUT_OF_MEMORY = 2;

    private final int code;

    /**
     * Names what failed.
     *
     * @param function the function of the driver API
     * @param code its {@code CUresult}
     * @param name the name of the code, for example {@code CUDA_ERROR_OUT_OF_MEMORY}
     * @param meaning the driver's sentence for it
     */
    public CudaException(String function, int code, String name, String meaning) {
        super(function + " failed: " + name + " (" + code + ", " + meaning + ")");
        this.code = code;
    }

    /** The {@code CUresult}. */
    public int code() {
        return code;
    }
}
