package org.duoattention.tck;

import java.util.ArrayList;
import java.util.List;
import org.duoattention.api.backend.Gradients;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.TensorSpec;

/** Watches how a caller uses the backward operations of a stream; checks what {@link AssertingStream} does. */
final class AssertingGradients implements Gradients {
    private final AssertingStream stream;
    private final Gradients delegate;

    AssertingGradients(AssertingStream stream, Gradients delegate) {
        this.stream = stream;
        this.delegate = delegate;
    }

    private void apart(AssertingTensor output, AssertingTensor... others) {
        for (AssertingTensor other : others) {
            stream.apart(output, other);
        }
    }

    private void same(String operation, AssertingTensor... tensors) {
        TensorSpec[] specs = new TensorSpec[tensors.length];
        for (int i = 0; i < specs.length; i++) {
            specs[i] = tensors[i].spec();
        }
        stream.shapes(() -> StreamShapes.same(operation, specs));
    }

    @Override
    public void linears(List<LinearOutput> outputs, Tensor inputGradient) {
        stream.checkUse();
        AssertingTensor to = stream.output(inputGradient);
        stream.shapes(() -> StreamShapes.check(!outputs.isEmpty(), "at least one layer"));
        List<LinearOutput> inner = new ArrayList<>();
        for (LinearOutput output : outputs) {
            AssertingTensor gradient = stream.input(output.gradient());
            AssertingTensor weight = stream.input(output.weight());
            stream.shapes(() -> GradientShapes.linear(gradient.spec(), weight.spec(), to.spec()));
            apart(to, gradient, weight);
            inner.add(new LinearOutput(gradient.delegate(), weight.delegate()));
        }
        delegate.linears(inner, to.delegate());
    }

    @Override
    public void rmsNorm(Tensor x, Tensor weight, float epsilon, Tensor gradient, Tensor inputGradient) {
        stream.checkUse();
        AssertingTensor input = stream.input(x);
        AssertingTensor scale = stream.input(weight);
        AssertingTensor from = stream.input(gradient);
        AssertingTensor to = stream.output(inputGradient);
        stream.shapes(() -> StreamShapes.rmsNorm(input.spec(), scale.spec(), from.spec()));
        stream.shapes(() -> StreamShapes.rmsNorm(input.spec(), scale.spec(), to.spec()));
        apart(to, input, scale);
        stream.apartOrSame(to, from);
        delegate.rmsNorm(input.delegate(), scale.delegate(), epsilon, from.delegate(), to.delegate());
    }

    @Override
    public void rope(Tensor gradient, int headDim, Rope rope, long position) {
        stream.checkUse();
        AssertingTensor target = stream.output(gradient);
        stream.shapes(() -> StreamShapes.rope(target.spec(), headDim, rope, position));
        delegate.rope(target.delegate(), headDim, rope, position);
    }

    @Override
    public void swiGlu(Tensor gate, Tensor up, Tensor gradient, Tensor gateGradient, Tensor upGradient) {
        stream.checkUse();
        AssertingTensor g = stream.input(gate);
        AssertingTensor u = stream.input(up);
        AssertingTensor from = stream.input(gradient);
        AssertingTensor toGate = stream.output(gateGradient);
        AssertingTensor toUp = stream.output(upGradient);
        same("swiGlu", g, u, from, toGate, toUp);
        stream.apartOrSame(toGate, g);
        stream.apartOrSame(toGate, from);
        apart(toGate, u);
        stream.apartOrSame(toUp, u);
        apart(toUp, g, from, toGate);
        delegate.swiGlu(g.delegate(), u.delegate(), from.delegate(), toGate.delegate(), toUp.delegate());
    }

    @Override
    public void attend(Tensor q, Tensor k, Tensor v, Streaming streaming, Tensor out) {
        stream.checkUse();
        AssertingTensor queries = stream.input(q);
        AssertingTensor keys = stream.input(k);
        AssertingTensor values = stream.input(v);
        AssertingTensor to = stream.output(out);
        stream.shapes(() -> GradientShapes.attend(queries.spec(), keys.spec(), values.spec(), streaming));
        same("streaming attention", queries, to);
        apart(to, queries, keys, values);
        delegate.attend(queries.delegate(), keys.delegate(), values.delegate(), streaming, to.delegate());
    }

    @Override
    public void attendBackward(
            Tensor q,
            Tensor k,
            Tensor v,
            Streaming streaming,
            Tensor gradient,
            Tensor qGradient,
            Tensor kGradient,
            Tensor vGradient) {
        stream.checkUse();
        AssertingTensor queries = stream.input(q);
        AssertingTensor keys = stream.input(k);
        AssertingTensor values = stream.input(v);
        AssertingTensor from = stream.input(gradient);
        AssertingTensor toQ = stream.output(qGradient);
        AssertingTensor toK = stream.output(kGradient);
        AssertingTensor toV = stream.output(vGradient);
        stream.shapes(() -> GradientShapes.attend(queries.spec(), keys.spec(), values.spec(), streaming));
        same("the gradients of queries", queries, from, toQ);
        same("the gradients of keys and values", keys, toK, toV);
        apart(toQ, queries, keys, values, from, toK, toV);
        apart(toK, queries, keys, values, from, toV);
        apart(toV, queries, keys, values, from);
        delegate.attendBackward(
                queries.delegate(),
                keys.delegate(),
                values.delegate(),
                streaming,
                from.delegate(),
                toQ.delegate(),
                toK.delegate(),
                toV.delegate());
    }

    @Override
    public void blend(Tensor full, Tensor streaming, float[] gates, Tensor out) {
        stream.checkUse();
        AssertingTensor f = stream.input(full);
        AssertingTensor s = stream.input(streaming);
        AssertingTensor to = stream.output(out);
        same("blend", f, s, to);
        stream.shapes(() -> GradientShapes.gates(f.spec(), gates.length));
        stream.apartOrSame(to, f);
        stream.apartOrSame(to, s);
        delegate.blend(f.delegate(), s.delegate(), gates, to.delegate());
    }

    @Override
    public void blendBackward(
            Tensor full,
            Tensor streaming,
            float[] gates,
            Tensor gradient,
            Tensor streamingGradient,
            Tensor gateGradients) {
        stream.checkUse();
        AssertingTensor f = stream.input(full);
        AssertingTensor s = stream.input(streaming);
        AssertingTensor from = stream.input(gradient);
        AssertingTensor to = stream.output(streamingGradient);
        AssertingTensor sums = stream.output(gateGradients);
        same("the backward of blend", f, s, from, to);
        stream.shapes(() -> GradientShapes.gates(f.spec(), gates.length));
        stream.shapes(() -> GradientShapes.gateGradients(sums.spec(), gates.length));
        apart(to, f, s, sums);
        stream.apartOrSame(to, from);
        apart(sums, f, s, from);
        delegate.blendBackward(f.delegate(), s.delegate(), gates, from.delegate(), to.delegate(), sums.delegate());
    }
}
