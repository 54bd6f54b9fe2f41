package org.duoattention.identify.distill;

import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Tensor;
import org.duoattention.core.model.LayerParts;
import org.duoattention.identify.distill.LabelledRows.Run;

/** The states of labelled rows after the final norm, on the heap, and the way back of their gradient. */
final class FinalStates {
    private FinalStates() {}

    /** {@code [labels, hidden]} of a residual stream. */
    static float[] read(
            ComputeStream stream,
            FrozenModel model,
            LayerParts parts,
            Workspace work,
            Sequence sequence,
            Tensor residual) {
        int hidden = model.config().shape().hiddenSize();
        float[] states = new float[Math.multiplyExact(sequence.labels().count(), hidden)];
        for (Run run : sequence.labels().runs()) {
            Tensor normed = work.normed.rows(0, run.count());
            stream.rmsNorm(
                    residual.rows(run.row(), run.count()), model.weights().finalNorm(), parts.epsilon(), normed);
            HostRows.download(stream, normed, states, run.index() * hidden);
        }
        return states;
    }

    /**
     * Backward of {@link #read}: all rows of {@code residualGradient} are written, zeros where there is no label.
     *
     * @param gradient {@code [labels, hidden]}
     */
    static void backward(
            ComputeStream stream,
            FrozenModel model,
            LayerParts parts,
            Workspace work,
            Sequence sequence,
            Tensor residual,
            float[] gradient,
            Tensor residualGradient) {
        int hidden = model.config().shape().hiddenSize();
        HostRows.clear(stream, residualGradient, 0, sequence.tokens(), sequence.block());
        for (Run run : sequence.labels().runs()) {
            Tensor rows = work.normed.rows(0, run.count());
            HostRows.upload(stream, gradient, run.index() * hidden, rows);
            stream.gradients()
                    .rmsNorm(
                            residual.rows(run.row(), run.count()),
                            model.weights().finalNorm(),
                            parts.epsilon(),
                            rows,
                            residualGradient.rows(run.row(), run.count()));
        }
    }
}
