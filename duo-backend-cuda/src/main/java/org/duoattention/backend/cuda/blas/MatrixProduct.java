package org.duoattention.backend.cuda.blas;

/**
 * Products of activations and weights by a library. Called with the device's context current.
 *
 * <p>All matrices are dense, row-major and in device memory, each of their rows aligned to 16 bytes.
 */
public interface MatrixProduct extends AutoCloseable {
    /** The element type of the inputs. */
    enum Type {
        /** Brain floating point. */
        BF16,
        /** Half precision. */
        F16
    }

    /**
     * Whether a product of this shape can be computed here. The first question about a shape may take a millisecond; the
     * answers to the latest are kept.
     *
     * @param outputs rows of the weight
     * @param inputs columns of the weight and of the activations
     */
    boolean supports(Type type, int tokens, int outputs, int inputs);

    /**
     * Queues {@code out[t][o] = sum over i of x[t][i] * weight[o][i]} with sums and output in F32.
     *
     * @param x device address of {@code [tokens, inputs]}
     * @param weight device address of {@code [outputs, inputs]}
     * @param out device address of {@code [tokens, outputs]}, F32, apart from the others
     * @param workspace device address of {@link #workspaceBytes} bytes that nothing else uses meanwhile, aligned to 256
     * @param stream the {@code CUstream}
     * @throws IllegalArgumentException when the shape is not supported
     * @throws IllegalStateException when the library refuses
     */
    void multiply(
            Type type, int tokens, int outputs, int inputs, long x, long weight, long out, long workspace, long stream);

    /** Bytes of workspace that {@link #multiply} may use. */
    long workspaceBytes();

    /** The library and its version, for people. */
    String description();

    @Override
    void close();
}
