package org.duoattention.backend.cpu.device;

import static org.duoattention.backend.cpu.device.Arguments.apart;
import static org.duoattention.backend.cpu.device.Arguments.illegal;
import static org.duoattention.backend.cpu.device.Arguments.sameOrApart;
import static org.duoattention.backend.cpu.device.Arguments.sameShape;

import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import org.duoattention.api.backend.Gradients;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.backend.Tensor;
import org.duoattention.backend.cpu.kernel.CpuKernels;
import org.duoattention.backend.cpu.kernel.GradientKernels;
import org.duoattention.backend.cpu.kernel.LinearGradient;
import org.duoattention.backend.cpu.kernel.Matrix;
import org.duoattention.backend.cpu.kernel.PackedInput;
import org.duoattention.backend.cpu.kernel.StreamingTask;
import org.duoattention.backend.cpu.kernel.Workspace;
import org.duoattention.backend.cpu.memory.CpuTensor;
import org.jspecify.annotations.Nullable;

/** The backward operations of a {@link CpuStream}: checks, and cuts into parts. Shares the stream's scratch memory. */
final class CpuGradients implements Gradients {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /** Rows whose products are summed before the sums are added in order. */
    private static final int BLEND_ROWS = 64;

    private final Runnable requireOpen;
    private final CpuKernels forward;
    private final GradientKernels kernels;
    private final Arguments arguments;
    private final Workers workers;
    private final RopeTables ropeTables;
    private final PackedInput packed;
    private final Workspace partials;
    private @Nullable Rope rope;
    private @Nullable Rope reversed;

    CpuGradients(
            Runnable requireOpen,
            CpuKernels forward,
            Arguments arguments,
            Workers workers,
            RopeTables ropeTables,
            PackedInput packed,
            Workspace partials) {
        this.requireOpen = requireOpen;
        this.forward = forward;
        this.kernels = forward.gradients();
        this.arguments = arguments;
        this.workers = workers;
        this.ropeTables = ropeTables;
        this.packed = packed;
        this.partials = partials;
    }

    @Override
    public void linears(List<LinearOutput> outputs, Tensor inputGradient) {
        requireOpen.run();
        CpuTensor result = arguments.activationTarget("the input gradient", inputGradient);
        if (outputs.isEmpty()) {
            throw illegal("the gradient " + result.spec() + " of an input that no layer reads");
        }
        List<LinearGradient> layers = new ArrayList<>();
        for (LinearOutput output : outputs) {
            CpuTensor gradient = arguments.activation("the gradient", output.gradient());
            CpuTensor weight = arguments.linearWeight("the weight", output.weight());
            if (!(weight.spec().rank() == 2
                    && gradient.spec().extent(0) == result.spec().extent(0)
                    && gradient.spec().extent(1) == weight.spec().extent(0)
                    && result.spec().extent(1) == weight.spec().extent(1))) {
                throw illegal("the gradient " + gradient.spec() + " times " + weight.spec() + " does not give "
                        + result.spec());
            }
            apart(result, gradient);
            apart(result, weight);
            layers.add(new LinearGradient(gradient.matrix(), weight.weight()));
        }
        Matrix out = result.matrix();
        long outs = LinearGradient.outs(layers);
        int most = kernels.linearTokens(outs);
        for (long row = 0; row < out.rows(); row += most) {
            long from = row;
            long count = Math.min(most, out.rows() - row);
            products(layers.stream().map(layer -> layer.slice(from, count)).toList(), out.slice(row, count), outs);
        }
    }

    private void products(List<LinearGradient> layers, Matrix out, long outs) {
        kernels.reserve(layers, packed);
        int shares = workers.parts(out.rows(), 1, out.rows() * outs);
        workers.run(shares, (share, workspace) -> kernels.pack(layers, share, shares, packed));
        int block = kernels.linearColumnBlock();
        int parts = workers.parts(out.columns(), block, out.rows() * out.columns() * outs);
        workers.run(parts, (part, workspace) -> {
            int from = (int) Workers.cut(out.columns(), block, parts, part);
            int to = (int) Workers.cut(out.columns(), block, parts, part + 1);
            if (from < to) {
                kernels.linears(layers, packed, out, from, to, workspace);
            }
        });
    }

    @Override
    public void rmsNorm(Tensor x, Tensor weight, float epsilon, Tensor gradient, Tensor inputGradient) {
        requireOpen.run();
        CpuTensor input = arguments.activation("x", x);
        CpuTensor scale = arguments.weight("the weight", weight);
        CpuTensor from = arguments.activation("the gradient", gradient);
        CpuTensor to = arguments.activationTarget("the input gradient", inputGradient);
        sameShape(input, from);
        sameShape(input, to);
        long group = scale.spec().elements();
        if (!(scale.spec().rank() == 1 && group > 0 && input.spec().extent(1) % group == 0)) {
            throw illegal("the weight " + scale.spec() + " does not divide the rows of " + input.spec());
        }
        apart(to, input);
        apart(to, scale);
        sameOrApart(to, from);
        workers.rows(
                input.spec().extent(0),
                2 * input.spec().extent(1),
                (first, end, workspace) -> kernels.rmsNorm(
                        input.matrix(), scale.matrix(), epsilon, from.matrix(), to.matrix(), first, end, workspace));
    }

    @Override
    public void rope(Tensor gradient, int headDim, Rope rope, long position) {
        requireOpen.run();
        CpuTensor target = arguments.activationTarget("the gradient", gradient);
        Arguments.rotation(target, headDim, rope, position);
        RopeTables.Table table =
                ropeTables.get(reversed(rope), position, target.spec().extent(0));
        workers.rows(
                target.spec().extent(0),
                target.spec().extent(1),
                (from, to, workspace) -> forward.rope(target.matrix(), headDim, table.cos(), table.sin(), from, to));
    }

    /** The transpose of a rotation is the one by the opposite angle. */
    private Rope reversed(Rope forwards) {
        Rope known = reversed;
        if (known != null && forwards == rope) {
            return known;
        }
        double[] frequencies = new double[forwards.pairs()];
        for (int i = 0; i < frequencies.length; i++) {
            frequencies[i] = -forwards.inverseFrequency(i);
        }
        Rope backwards = new Rope(frequencies, forwards.attentionFactor());
        rope = forwards;
        reversed = backwards;
        return backwards;
    }

    @Override
    public void swiGlu(Tensor gate, Tensor up, Tensor gradient, Tensor gateGradient, Tensor upGradient) {
        requireOpen.run();
        CpuTensor g = arguments.activation("gate", gate);
        CpuTensor u = arguments.activation("up", up);
        CpuTensor d = arguments.activation("the gradient", gradient);
        CpuTensor toGate = arguments.activationTarget("the gate's gradient", gateGradient);
        CpuTensor toUp = arguments.activationTarget("up's gradient", upGradient);
        for (CpuTensor other : List.of(u, d, toGate, toUp)) {
            sameShape(g, other);
        }
        sameOrApart(toGate, g);
        sameOrApart(toGate, d);
        apart(toGate, u);
        sameOrApart(toUp, u);
        apart(toUp, g);
        apart(toUp, d);
        apart(toUp, toGate);
        workers.rows(
                g.spec().elements(),
                16,
                (from, to, workspace) ->
                        kernels.swiGlu(g.matrix(), u.matrix(), d.matrix(), toGate.matrix(), toUp.matrix(), from, to));
    }

    @Override
    public void attend(Tensor q, Tensor k, Tensor v, Streaming streaming, Tensor out) {
        requireOpen.run();
        CpuTensor queries = arguments.activation("q", q);
        CpuTensor keys = arguments.activation("k", k);
        CpuTensor values = arguments.activation("v", v);
        CpuTensor result = arguments.activationTarget("the output", out);
        StreamingTask task = task(queries, keys, values, streaming);
        sameShape(queries, result);
        for (CpuTensor input : List.of(queries, keys, values)) {
            apart(result, input);
        }
        new StreamingRun(kernels, workers, task).attend(result.matrix());
    }

    private static StreamingTask task(CpuTensor q, CpuTensor k, CpuTensor v, Streaming streaming) {
        sameShape(k, v);
        long kvWidth = k.spec().extent(1);
        if (!(q.spec().extent(0) == k.spec().extent(0)
                && kvWidth > 0
                && kvWidth % streaming.headDim() == 0
                && q.spec().extent(1) % kvWidth == 0)) {
            throw illegal("queries " + q.spec() + " and keys " + k.spec() + " are no heads of " + streaming.headDim()
                    + " in groups");
        }
        return new StreamingTask(
                q.matrix(),
                k.matrix(),
                v.matrix(),
                streaming.headDim(),
                streaming.sinks(),
                streaming.recent(),
                streaming.scale());
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
        requireOpen.run();
        CpuTensor queries = arguments.activation("q", q);
        CpuTensor keys = arguments.activation("k", k);
        CpuTensor values = arguments.activation("v", v);
        CpuTensor from = arguments.activation("the gradient", gradient);
        CpuTensor toQ = arguments.activationTarget("the gradient of q", qGradient);
        CpuTensor toK = arguments.activationTarget("the gradient of k", kGradient);
        CpuTensor toV = arguments.activationTarget("the gradient of v", vGradient);
        StreamingTask task = task(queries, keys, values, streaming);
        sameShape(queries, from);
        sameShape(queries, toQ);
        sameShape(keys, toK);
        sameShape(keys, toV);
        for (CpuTensor result : List.of(toQ, toK, toV)) {
            for (CpuTensor input : List.of(queries, keys, values, from)) {
                apart(result, input);
            }
        }
        apart(toQ, toK);
        apart(toQ, toV);
        apart(toK, toV);
        new StreamingRun(kernels, workers, task)
                .backward(from.matrix(), toQ.matrix(), toK.matrix(), toV.matrix(), partials);
    }

    @Override
    public void blend(Tensor full, Tensor streaming, float[] gates, Tensor out) {
        requireOpen.run();
        CpuTensor f = arguments.activation("full", full);
        CpuTensor s = arguments.activation("streaming", streaming);
        CpuTensor result = arguments.activationTarget("the output", out);
        sameShape(f, s);
        sameShape(f, result);
        requireGates(f, gates);
        sameOrApart(result, f);
        sameOrApart(result, s);
        workers.rows(
                f.spec().extent(0),
                f.spec().extent(1),
                (from, to, workspace) -> kernels.blend(f.matrix(), s.matrix(), gates, result.matrix(), from, to));
    }

    private static void requireGates(CpuTensor rows, float[] gates) {
        if (gates.length == 0 || rows.spec().extent(1) % gates.length != 0) {
            throw illegal(gates.length + " gates do not divide the rows of " + rows.spec());
        }
    }

    @Override
    public void blendBackward(
            Tensor full,
            Tensor streaming,
            float[] gates,
            Tensor gradient,
            Tensor streamingGradient,
            Tensor gateGradients) {
        requireOpen.run();
        CpuTensor f = arguments.activation("full", full);
        CpuTensor s = arguments.activation("streaming", streaming);
        CpuTensor d = arguments.activation("the gradient", gradient);
        CpuTensor to = arguments.activationTarget("the streaming gradient", streamingGradient);
        CpuTensor sums = arguments.activationTarget("the gates' gradients", gateGradients);
        for (CpuTensor other : List.of(s, d, to)) {
            sameShape(f, other);
        }
        requireGates(f, gates);
        if (!(sums.spec().extent(0) == 1 && sums.spec().extent(1) == gates.length)) {
            throw illegal("the gradients " + sums.spec() + " of " + gates.length + " gates");
        }
        apart(to, f);
        apart(to, s);
        sameOrApart(to, d);
        for (CpuTensor other : List.of(f, s, d, to)) {
            apart(sums, other);
        }
        long rows = f.spec().extent(0);
        int blocks = Math.toIntExact((rows + BLEND_ROWS - 1) / BLEND_ROWS);
        double[] products = new double[blocks * gates.length];
        workers.rows(blocks, BLEND_ROWS * f.spec().extent(1), (first, end, workspace) -> {
            for (int b = (int) first; b < end; b++) {
                long from = (long) b * BLEND_ROWS;
                kernels.blendBackward(
                        f.matrix(),
                        s.matrix(),
                        gates,
                        d.matrix(),
                        to.matrix(),
                        from,
                        Math.min(rows, from + BLEND_ROWS),
                        products,
                        b * gates.length);
            }
        });
        for (int h = 0; h < gates.length; h++) {
            double sum = 0;
            for (int b = 0; b < blocks; b++) {
                sum += products[b * gates.length + h];
            }
            sums.matrix().segment().set(F32, sums.matrix().at(0, h), (float) sum);
        }
    }
}
