package org.duoattention.backend.cpu.kernel;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * The arithmetic of {@link org.duoattention.api.backend.Gradients} for one instruction set; the rules of {@link
 * CpuKernels} apply. What is not a weight is F32. Results do not depend on how an operation is cut into parts.
 */
public interface GradientKernels {
    /** Most rows that {@link #linears} and {@link #pack} get when the layers have {@code outs} outputs together. */
    int linearTokens(long outs);

    /** Column ranges given to {@link #linears} start at multiples of this. */
    int linearColumnBlock();

    /** Makes room for the gradients of layers. */
    default void reserve(List<LinearGradient> layers, PackedInput target) {}

    /** Writes share {@code part} of {@code parts} of the gradients; all are written before the first {@link #linears}. */
    default void pack(List<LinearGradient> layers, int part, int parts, PackedInput target) {}

    /**
     * Columns {@code from .. to-1} of {@code out = sum of gradient * weight}.
     *
     * @param packed what {@link #pack} wrote
     * @param out {@code [tokens, in]}
     */
    void linears(List<LinearGradient> layers, PackedInput packed, Matrix out, int from, int to, Workspace workspace);

    /** Rows {@code fromRow .. toRow-1} of the backward of RMSNorm. {@code out} may be {@code gradient}. */
    void rmsNorm(
            Matrix x,
            Matrix weight,
            float epsilon,
            Matrix gradient,
            Matrix out,
            long fromRow,
            long toRow,
            Workspace workspace);

    /**
     * The backward of SwiGLU for the elements {@code from .. to-1} of the row-major order. {@code gateGradient} may be {@code
     * gate} or {@code gradient}, {@code upGradient} may be {@code up}.
     */
    void swiGlu(Matrix gate, Matrix up, Matrix gradient, Matrix gateGradient, Matrix upGradient, long from, long to);

    /**
     * Queries {@code fromRow .. toRow-1} of the heads that read one KV head.
     *
     * @param out F32 {@code [tokens, heads * headDim]}
     */
    void attend(StreamingTask task, int kvHead, long fromRow, long toRow, Matrix out, Workspace workspace);

    /**
     * The backward of {@link #attend} for the same queries. What they contribute to the gradients of the {@link
     * StreamingKeys} that they see goes to {@code partial}: {@code [keys.count(), headDim]} of the keys, then as many of the
     * values.
     *
     * @param gradient of the output
     * @param qGradient the columns of the group are written
     * @param partial overwritten from byte {@code offset} on
     */
    void attendBackward(
            StreamingTask task,
            int kvHead,
            long fromRow,
            long toRow,
            Matrix gradient,
            Matrix qGradient,
            MemorySegment partial,
            long offset,
            Workspace workspace);

    /** Rows {@code fromRow .. toRow-1} of {@code out = gate * full + (1 - gate) * streaming}; {@code out} may be either. */
    void blend(Matrix full, Matrix streaming, float[] gates, Matrix out, long fromRow, long toRow);

    /**
     * Rows {@code fromRow .. toRow-1} of the backward of {@link #blend}.
     *
     * @param streamingGradient may be {@code gradient}
     * @param sums one per gate from {@code at} on: set to the products summed over the rows
     */
    void blendBackward(
            Matrix full,
            Matrix streaming,
            float[] gates,
            Matrix gradient,
            Matrix streamingGradient,
            long fromRow,
            long toRow,
            double[] sums,
            int at);
}
