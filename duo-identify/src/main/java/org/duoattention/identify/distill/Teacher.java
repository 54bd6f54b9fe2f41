package org.duoattention.identify.distill;

import java.util.List;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Tensor;
import org.duoattention.core.model.DecoderWeights.Layer;
import org.duoattention.core.model.LayerParts;

/**
 * The model as it is, with full attention everywhere. Runs layer by layer over the whole sequence, so that the keys and
 * values of one layer only are there at a time.
 */
final class Teacher {
    private final FrozenModel model;
    private final LayerParts parts;
    private final Workspace work;
    private final FullAttention attention;

    Teacher(FrozenModel model, LayerParts parts, Workspace work, FullAttention attention) {
        this.model = model;
        this.parts = parts;
        this.work = work;
        this.attention = attention;
    }

    /**
     * Runs the sequence.
     *
     * @param record whether the outputs of attention go to {@link Workspace#full}; in the last layer only the rows that
     *     labelled ones need
     * @return the labelled rows after the final norm, {@code [labels, hidden]}
     * @throws InterruptedException when the thread is interrupted
     */
    float[] run(ComputeStream stream, Sequence sequence, boolean record) throws InterruptedException {
        sequence.blocks(
                0,
                (row, count) -> stream.embed(
                        model.weights().embedding(), sequence.ids(row, count), work.residual.rows(row, count)));
        List<Layer> layers = model.weights().layers();
        for (int i = 0; i < layers.size(); i++) {
            Layer layer = layers.get(i);
            Tensor recorded = record ? work.full.get(i) : work.streaming;
            int needed = i == layers.size() - 1 ? sequence.firstNeeded() : 0;
            attention.begin(stream);
            sequence.blocks(0, (row, count) -> {
                Tensor x = work.residual.rows(row, count);
                Tensor normed = work.normed.rows(0, count);
                Tensor q = work.q.rows(0, count);
                Tensor k = work.k.rows(0, count);
                Tensor v = work.v.rows(0, count);
                stream.rmsNorm(x, layer.inputNorm(), parts.epsilon(), normed);
                parts.project(stream, layer, normed, sequence.rope(), row, q, k, v);
                if (row < needed) {
                    attention.append(stream, k, v);
                } else {
                    Tensor out = recorded.rows(row, count);
                    attention.attend(stream, q, k, v, out);
                    rest(stream, layer, out, x, normed, count);
                }
            });
        }
        return FinalStates.read(stream, model, parts, work, sequence, work.residual);
    }

    private void rest(ComputeStream stream, Layer layer, Tensor attended, Tensor x, Tensor normed, int count) {
        Tensor delta = work.delta.rows(0, count);
        stream.linear(attended, layer.o().to(delta));
        stream.addRmsNorm(x, delta, layer.postAttentionNorm(), parts.epsilon(), normed);
        parts.feedForward(stream, layer, normed, work.gate.rows(0, count), work.up.rows(0, count), delta);
        stream.add(x, delta);
    }
}
