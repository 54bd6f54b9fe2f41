package org.duoattention.tck;

import java.util.ArrayList;
import java.util.List;
import org.duoattention.api.backend.Gradients;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.TensorSpec;

/** The backward operations of an {@link OpaqueStream}, queued like its other operations. */
final class OpaqueGradients implements Gradients {
    private record Layer(OpaqueTensor gradient, OpaqueTensor weight) {}

    private final OpaqueStream stream;

    OpaqueGradients(OpaqueStream stream) {
        this.stream = stream;
    }

    OpaqueStream stream() {
        return stream;
    }

    private static int width(OpaqueTensor tensor) {
        return (int) tensor.spec().extent(1);
    }

    private static void apart(OpaqueTensor output, OpaqueTensor... others) {
        for (OpaqueTensor other : others) {
            StreamShapes.check(!output.overlaps(other), "the output " + output + " overlaps " + other);
        }
    }

    private static void apartOrSame(OpaqueTensor output, OpaqueTensor input) {
        StreamShapes.check(
                !output.overlaps(input) || output.isSameAs(input), "the output " + output + " overlaps " + input);
    }

    @Override
    public void linears(List<LinearOutput> outputs, Tensor inputGradient) {
        stream.checkUse();
        OpaqueTensor to = stream.output(inputGradient);
        StreamShapes.check(!outputs.isEmpty(), "no layers for " + to);
        List<Layer> layers = new ArrayList<>();
        for (LinearOutput output : outputs) {
            Layer layer = new Layer(stream.dense(output.gradient()), stream.input(output.weight()));
            GradientShapes.linear(layer.gradient.spec(), layer.weight.spec(), to.spec());
            apart(to, layer.gradient, layer.weight);
            layers.add(layer);
        }
        stream.queue(() -> {
            double[] sum = new double[to.size()];
            for (Layer layer : layers) {
                double[] one = OracleGradients.linear(
                        layer.gradient.read(), layer.weight.read(), width(to), width(layer.gradient));
                sum = OracleMath.add(sum, one);
            }
            to.write(sum);
        });
    }

    @Override
    public void rmsNorm(Tensor x, Tensor weight, float epsilon, Tensor gradient, Tensor inputGradient) {
        stream.checkUse();
        OpaqueTensor input = stream.dense(x);
        OpaqueTensor scale = stream.dense(weight);
        OpaqueTensor from = stream.dense(gradient);
        OpaqueTensor to = stream.output(inputGradient);
        StreamShapes.rmsNorm(input.spec(), scale.spec(), from.spec());
        StreamShapes.rmsNorm(input.spec(), scale.spec(), to.spec());
        apart(to, input, scale);
        apartOrSame(to, from);
        stream.queue(() -> to.write(OracleGradients.rmsNorm(input.read(), scale.read(), epsilon, from.read())));
    }

    @Override
    public void rope(Tensor gradient, int headDim, Rope rope, long position) {
        stream.checkUse();
        OpaqueTensor target = stream.output(gradient);
        StreamShapes.rope(target.spec(), headDim, rope, position);
        stream.queue(() -> target.write(OracleGradients.rope(target.read(), width(target), headDim, rope, position)));
    }

    @Override
    public void swiGlu(Tensor gate, Tensor up, Tensor gradient, Tensor gateGradient, Tensor upGradient) {
        stream.checkUse();
        OpaqueTensor g = stream.dense(gate);
        OpaqueTensor u = stream.dense(up);
        OpaqueTensor from = stream.dense(gradient);
        OpaqueTensor toGate = stream.output(gateGradient);
        OpaqueTensor toUp = stream.output(upGradient);
        TensorSpec spec = g.spec();
        StreamShapes.same("swiGlu", spec, u.spec(), from.spec(), toGate.spec(), toUp.spec());
        StreamShapes.check(spec.rank() == 2, "swiGlu of " + spec);
        apartOrSame(toGate, g);
        apartOrSame(toGate, from);
        apart(toGate, u);
        apartOrSame(toUp, u);
        apart(toUp, g, from, toGate);
        stream.queue(() -> {
            double[] ofGate = OracleGradients.swiGluGate(g.read(), u.read(), from.read());
            double[] ofUp = OracleGradients.swiGluUp(g.read(), from.read());
            toGate.write(ofGate);
            toUp.write(ofUp);
        });
    }

    @Override
    public void attend(Tensor q, Tensor k, Tensor v, Streaming streaming, Tensor out) {
        stream.checkUse();
        OpaqueTensor queries = stream.dense(q);
        OpaqueTensor keys = stream.dense(k);
        OpaqueTensor values = stream.dense(v);
        OpaqueTensor to = stream.output(out);
        GradientShapes.attend(queries.spec(), keys.spec(), values.spec(), streaming);
        StreamShapes.same("streaming attention", queries.spec(), to.spec());
        apart(to, queries, keys, values);
        int heads = width(queries) / streaming.headDim();
        int kvHeads = width(keys) / streaming.headDim();
        stream.queue(() -> to.write(
                OracleGradients.attend(queries.read(), keys.read(), values.read(), heads, kvHeads, streaming)));
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
        OpaqueTensor queries = stream.dense(q);
        OpaqueTensor keys = stream.dense(k);
        OpaqueTensor values = stream.dense(v);
        OpaqueTensor from = stream.dense(gradient);
        OpaqueTensor toQ = stream.output(qGradient);
        OpaqueTensor toK = stream.output(kGradient);
        OpaqueTensor toV = stream.output(vGradient);
        GradientShapes.attend(queries.spec(), keys.spec(), values.spec(), streaming);
        StreamShapes.same("the gradients of queries", queries.spec(), from.spec(), toQ.spec());
        StreamShapes.same("the gradients of keys and values", keys.spec(), toK.spec(), toV.spec());
        apart(toQ, queries, keys, values, from, toK, toV);
        apart(toK, queries, keys, values, from, toV);
        apart(toV, queries, keys, values, from);
        int heads = width(queries) / streaming.headDim();
        int kvHeads = width(keys) / streaming.headDim();
        stream.queue(() -> {
            List<double[]> results = OracleGradients.attendBackward(
                    queries.read(), keys.read(), values.read(), heads, kvHeads, streaming, from.read());
            toQ.write(results.get(0));
            toK.write(results.get(1));
            toV.write(results.get(2));
        });
    }

    @Override
    public void blend(Tensor full, Tensor streaming, float[] gates, Tensor out) {
        stream.checkUse();
        OpaqueTensor f = stream.dense(full);
        OpaqueTensor s = stream.dense(streaming);
        OpaqueTensor to = stream.output(out);
        StreamShapes.same("blend", f.spec(), s.spec(), to.spec());
        GradientShapes.gates(f.spec(), gates.length);
        apartOrSame(to, f);
        apartOrSame(to, s);
        float[] copy = gates.clone();
        stream.queue(() -> to.write(OracleGradients.blend(f.read(), s.read(), width(f), copy)));
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
        OpaqueTensor f = stream.dense(full);
        OpaqueTensor s = stream.dense(streaming);
        OpaqueTensor from = stream.dense(gradient);
        OpaqueTensor to = stream.output(streamingGradient);
        OpaqueTensor sums = stream.output(gateGradients);
        StreamShapes.same("the backward of blend", f.spec(), s.spec(), from.spec(), to.spec());
        GradientShapes.gates(f.spec(), gates.length);
        GradientShapes.gateGradients(sums.spec(), gates.length);
        apart(to, f, s, sums);
        apartOrSame(to, from);
        apart(sums, f, s, from);
        float[] copy = gates.clone();
        stream.queue(() -> {
            double[] products = OracleGradients.blendGates(f.read(), s.read(), width(f), copy.length, from.read());
            to.write(OracleGradients.blendStreaming(width(f), copy, from.read()));
            sums.write(products);
        });
    }
}
