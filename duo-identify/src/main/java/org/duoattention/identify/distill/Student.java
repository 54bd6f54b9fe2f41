package org.duoattention.identify.distill;

import java.util.List;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Gradients;
import org.duoattention.api.backend.Gradients.LinearOutput;
import org.duoattention.api.backend.Tensor;
import org.duoattention.core.model.DecoderWeights.Layer;
import org.duoattention.core.model.LayerParts;

/**
 * The model whose heads blend full and streaming attention, forward and backward. Forward keeps the input of every layer;
 * backward computes a layer anew from it (activation checkpointing, arXiv 1604.06174) before it goes through it in reverse.
 */
final class Student {
    private static final int NONE = -1;

    private final FrozenModel model;
    private final LayerParts parts;
    private final Workspace work;
    private final FullAttention attention;
    private final Gradients.Streaming window;
    /** Recent attention of this layer is in the workspace. */
    private int attended = NONE;

    Student(FrozenModel model, LayerParts parts, Workspace work, FullAttention attention, StepSettings settings) {
        this.model = model;
        this.parts = parts;
        this.work = work;
        this.attention = attention;
        this.window = new Gradients.Streaming(
                model.config().shape().headDim(), settings.sinks(), settings.recent(), parts.scale());
    }

    /**
     * Runs the sequence.
     *
     * @param gates one per layer and KV head
     * @param own whether {@link Workspace#full} gets the full attention of the student's own queries, keys and values;
     *     otherwise it holds the teacher's already
     * @return the labelled rows after the final norm, {@code [labels, hidden]}
     * @throws InterruptedException when the thread is interrupted
     */
    float[] forward(ComputeStream stream, Sequence sequence, float[][] gates, boolean own) throws InterruptedException {
        Gradients gradients = stream.gradients();
        List<Layer> layers = model.weights().layers();
        Tensor first = work.checkpoints.getFirst();
        sequence.blocks(
                0,
                (row, count) ->
                        stream.embed(model.weights().embedding(), sequence.ids(row, count), first.rows(row, count)));
        for (int i = 0; i < layers.size(); i++) {
            Layer layer = layers.get(i);
            Tensor input = work.checkpoints.get(i);
            Tensor output = work.checkpoints.get(i + 1);
            Tensor full = work.full.get(i);
            float[] gate = gates[i];
            int needed = needed(sequence, i);
            attend(stream, sequence, i);
            if (own) {
                attendFully(stream, sequence, full, needed);
            }
            sequence.blocks(needed, (row, count) -> {
                Tensor mixed = work.mixed.rows(0, count);
                Tensor normed = work.normed.rows(0, count);
                Tensor y = output.rows(row, count);
                gradients.blend(full.rows(row, count), work.streaming.rows(row, count), gate, mixed);
                stream.linear(mixed, layer.o().to(y));
                stream.addRmsNorm(y, input.rows(row, count), layer.postAttentionNorm(), parts.epsilon(), normed);
                parts.feedForward(stream, layer, normed, work.gate.rows(0, count), work.up.rows(0, count), normed);
                stream.add(y, normed);
            });
        }
        return FinalStates.read(stream, model, parts, work, sequence, work.checkpoints.getLast());
    }

    /** The last layer computes only what labelled rows need. */
    private int needed(Sequence sequence, int layer) {
        return layer == model.weights().layers().size() - 1 ? sequence.firstNeeded() : 0;
    }

    /** Queries, keys, values and streaming attention of a layer, from its input. */
    private void attend(ComputeStream stream, Sequence sequence, int index) throws InterruptedException {
        Layer layer = model.weights().layers().get(index);
        Tensor input = work.checkpoints.get(index);
        int tokens = sequence.tokens();
        sequence.blocks(0, (row, count) -> {
            Tensor normed = work.normed.rows(0, count);
            stream.rmsNorm(input.rows(row, count), layer.inputNorm(), parts.epsilon(), normed);
            parts.project(
                    stream,
                    layer,
                    normed,
                    sequence.rope(),
                    row,
                    work.q.rows(row, count),
                    work.k.rows(row, count),
                    work.v.rows(row, count));
        });
        stream.gradients()
                .attend(
                        work.q.rows(0, tokens),
                        work.k.rows(0, tokens),
                        work.v.rows(0, tokens),
                        window,
                        work.streaming.rows(0, tokens));
        attended = index;
    }

    private void attendFully(ComputeStream stream, Sequence sequence, Tensor full, int needed)
            throws InterruptedException {
        attention.begin(stream);
        sequence.blocks(0, (row, count) -> {
            Tensor k = work.k.rows(row, count);
            Tensor v = work.v.rows(row, count);
            if (row < needed) {
                attention.append(stream, k, v);
            } else {
                attention.attend(stream, work.q.rows(row, count), k, v, full.rows(row, count));
            }
        });
    }

    /**
     * The gradient of the gates, after {@link #forward} with the same arguments.
     *
     * @param gradient of what that returned
     * @return layers x KV heads
     * @throws InterruptedException when the thread is interrupted
     */
    float[][] backward(ComputeStream stream, Sequence sequence, float[][] gates, float[] gradient)
            throws InterruptedException {
        FinalStates.backward(stream, model, parts, work, sequence, work.checkpoints.getLast(), gradient, work.residual);
        for (int i = model.weights().layers().size() - 1; i >= 0; i--) {
            if (attended != i) {
                attend(stream, sequence, i);
            }
            attended = NONE;
            throughOutput(stream, sequence, i, gates[i]);
            // Nothing depends on what the first layer's attention reads but the embedding.
            if (i > 0) {
                throughAttention(stream, sequence, i);
            }
        }
        float[][] result = new float[gates.length][gates[0].length];
        for (int i = 0; i < result.length; i++) {
            HostRows.download(stream, work.gateGradients.get(i), result[i], 0);
        }
        return result;
    }

    /** From a layer's output back to its streaming attention and its gates. */
    private void throughOutput(ComputeStream stream, Sequence sequence, int index, float[] gates)
            throws InterruptedException {
        Gradients gradients = stream.gradients();
        Layer layer = model.weights().layers().get(index);
        Tensor input = work.checkpoints.get(index);
        Tensor full = work.full.get(index);
        int needed = needed(sequence, index);
        int tokens = sequence.tokens();
        sequence.blocks(needed, (row, count) -> {
            Tensor mixed = work.mixed.rows(0, count);
            Tensor sum = work.delta.rows(0, count);
            Tensor normed = work.normed.rows(0, count);
            Tensor gate = work.gate.rows(0, count);
            Tensor up = work.up.rows(0, count);
            Tensor activation = work.activation.rows(0, count);
            Tensor gradient = work.residual.rows(row, count);
            gradients.blend(full.rows(row, count), work.streaming.rows(row, count), gates, mixed);
            stream.linear(mixed, layer.o().to(sum));
            stream.addRmsNorm(sum, input.rows(row, count), layer.postAttentionNorm(), parts.epsilon(), normed);
            stream.linears(normed, List.of(layer.gate().to(gate), layer.up().to(up)));
            gradients.linears(List.of(new LinearOutput(gradient, layer.down().weight())), activation);
            gradients.swiGlu(gate, up, activation, gate, up);
            gradients.linears(
                    List.of(
                            new LinearOutput(gate, layer.gate().weight()),
                            new LinearOutput(up, layer.up().weight())),
                    normed);
            gradients.rmsNorm(sum, layer.postAttentionNorm(), parts.epsilon(), normed, normed);
            stream.add(gradient, normed);
            gradients.linears(
                    List.of(new LinearOutput(gradient, layer.o().weight())), work.attentionGradient.rows(row, count));
        });
        Tensor attention = work.attentionGradient.rows(needed, tokens - needed);
        gradients.blendBackward(
                full.rows(needed, tokens - needed),
                work.streaming.rows(needed, tokens - needed),
                gates,
                attention,
                attention,
                work.gateGradients.get(index));
        HostRows.clear(stream, work.attentionGradient, 0, needed, sequence.block());
    }

    /** From a layer's streaming attention back to its input. */
    private void throughAttention(ComputeStream stream, Sequence sequence, int index) throws InterruptedException {
        Gradients gradients = stream.gradients();
        Layer layer = model.weights().layers().get(index);
        Tensor input = work.checkpoints.get(index);
        int tokens = sequence.tokens();
        int headDim = window.headDim();
        // Streaming attention was read for the last time.
        Tensor qGradient = work.streaming;
        gradients.attendBackward(
                work.q.rows(0, tokens),
                work.k.rows(0, tokens),
                work.v.rows(0, tokens),
                window,
                work.attentionGradient.rows(0, tokens),
                qGradient.rows(0, tokens),
                work.kGradient.rows(0, tokens),
                work.vGradient.rows(0, tokens));
        sequence.blocks(0, (row, count) -> {
            Tensor x = input.rows(row, count);
            Tensor dq = qGradient.rows(row, count);
            Tensor dk = work.kGradient.rows(row, count);
            gradients.rope(dq, headDim, sequence.rope(), row);
            gradients.rope(dk, headDim, sequence.rope(), row);
            if (layer.qNorm().isPresent() || layer.kNorm().isPresent()) {
                Tensor normed = work.normed.rows(0, count);
                Tensor q = work.q.rows(row, count);
                Tensor k = work.k.rows(row, count);
                stream.rmsNorm(x, layer.inputNorm(), parts.epsilon(), normed);
                stream.linears(normed, List.of(layer.q().to(q), layer.k().to(k)));
                layer.qNorm().ifPresent(norm -> gradients.rmsNorm(q, norm, parts.epsilon(), dq, dq));
                layer.kNorm().ifPresent(norm -> gradients.rmsNorm(k, norm, parts.epsilon(), dk, dk));
            }
            Tensor delta = work.delta.rows(0, count);
            gradients.linears(
                    List.of(
                            new LinearOutput(dq, layer.q().weight()),
                            new LinearOutput(dk, layer.k().weight()),
                            new LinearOutput(
                                    work.vGradient.rows(row, count), layer.v().weight())),
                    delta);
            gradients.rmsNorm(x, layer.inputNorm(), parts.epsilon(), delta, delta);
            stream.add(work.residual.rows(row, count), delta);
        });
    }
}
