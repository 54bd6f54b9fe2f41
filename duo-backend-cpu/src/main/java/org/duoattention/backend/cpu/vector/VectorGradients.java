package org.duoattention.backend.cpu.vector;

import java.lang.foreign.MemorySegment;
import java.util.List;
import org.duoattention.backend.cpu.kernel.GradientKernels;
import org.duoattention.backend.cpu.kernel.LinearGradient;
import org.duoattention.backend.cpu.kernel.Matrix;
import org.duoattention.backend.cpu.kernel.PackedInput;
import org.duoattention.backend.cpu.kernel.StreamingTask;
import org.duoattention.backend.cpu.kernel.Workspace;

/** The backward operations of {@link VectorKernels}. */
final class VectorGradients implements GradientKernels {
    @Override
    public int linearTokens(long outs) {
        return BackwardGemm.mostTokens(outs);
    }

    @Override
    public int linearColumnBlock() {
        return Simd.PANEL;
    }

    @Override
    public void reserve(List<LinearGradient> layers, PackedInput target) {
        BackwardGemm.reserve(layers, target);
    }

    @Override
    public void pack(List<LinearGradient> layers, int part, int parts, PackedInput target) {
        BackwardGemm.pack(layers, part, parts, target);
    }

    @Override
    public void linears(
            List<LinearGradient> layers, PackedInput packed, Matrix out, int from, int to, Workspace workspace) {
        BackwardGemm.linears(layers, packed.floats(), out, from, to, workspace);
    }

    @Override
    public void rmsNorm(
            Matrix x,
            Matrix weight,
            float epsilon,
            Matrix gradient,
            Matrix out,
            long fromRow,
            long toRow,
            Workspace workspace) {
        RmsNormBackward.run(x, weight, epsilon, gradient, out, fromRow, toRow, workspace.floats(weight.columns()));
    }

    @Override
    public void swiGlu(
            Matrix gate, Matrix up, Matrix gradient, Matrix gateGradient, Matrix upGradient, long from, long to) {
        SwiGluBackward.run(gate, up, gradient, gateGradient, upGradient, from, to);
    }

    @Override
    public void attend(StreamingTask task, int kvHead, long fromRow, long toRow, Matrix out, Workspace workspace) {
        StreamingAttention.attend(task, kvHead, fromRow, toRow, out, workspace);
    }

    @Override
    public void attendBackward(
            StreamingTask task,
            int kvHead,
            long fromRow,
            long toRow,
            Matrix gradient,
            Matrix qGradient,
            MemorySegment partial,
            long offset,
            Workspace workspace) {
        StreamingAttention.backward(task, kvHead, fromRow, toRow, gradient, qGradient, partial, offset, workspace);
    }

    @Override
    public void blend(Matrix full, Matrix streaming, float[] gates, Matrix out, long fromRow, long toRow) {
        Blend.run(full, streaming, gates, out, fromRow, toRow);
    }

    @Override
    public void blendBackward(
            Matrix full,
            Matrix streaming,
            float[] gates,
            Matrix gradient,
            Matrix streamingGradient,
            long fromRow,
            long toRow,
            double[] sums,
            int at) {
        Blend.backward(full, streaming, gates, gradient, streamingGradient, fromRow, toRow, sums, at);
    }
}
