package org.duoattention.backend.cuda;

import static org.duoattention.backend.cuda.Arguments.apart;
import static org.duoattention.backend.cuda.Arguments.illegal;
import static org.duoattention.backend.cuda.Arguments.sameOrApart;
import static org.duoattention.backend.cuda.Arguments.sameShape;

import java.util.Arrays;
import java.util.List;
import org.duoattention.api.backend.Gradients;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.QuantizedSpec;

/** The backward operations of a {@link CudaStream}, all in F32: checks, and kernels. */
final class CudaGradients implements Gradients {
    private static final int THREADS = 256;
    private static final int TILE = 64;
    private static final int SUM_THREADS = 1024;
    /** Threads of a block of streaming attention, whose warps have one query or key each. */
    private static final int ATTENTION_THREADS = 128;

    private static final int ATTENTION_WARPS = 4;
    /** Elements of a head that a warp holds. */
    private static final int MOST_HEAD_ELEMENTS = 512;
    /** Numbers that the queries of streaming attention leave for the keys. */
    private static final int STATISTICS = 3;

    /** Before an operation: checks that the stream may be used, and begins to queue. */
    private final Runnable begin;

    private final Arguments arguments;
    private final Kernels kernels;
    private final Launches launches;
    private final DenseOperations dense;

    CudaGradients(Runnable begin, CudaDevice device, Launches launches, DenseOperations dense) {
        this.begin = begin;
        this.arguments = new Arguments(device);
        this.kernels = device.kernels();
        this.launches = launches;
        this.dense = dense;
    }

    @Override
    public void linears(List<LinearOutput> outputs, Tensor inputGradient) {
        begin.run();
        CudaTensor result = arguments.activationTarget("the input gradient", inputGradient);
        if (outputs.isEmpty()) {
            throw illegal("the gradient " + result.spec() + " of an input that no layer reads");
        }
        for (LinearOutput output : outputs) {
            CudaTensor gradient = arguments.activation("the gradient", output.gradient());
            CudaTensor weight = arguments.linearWeight("the weight", output.weight());
            if (!(weight.spec().rank() == 2
                    && gradient.spec().extent(0) == result.spec().extent(0)
                    && gradient.spec().extent(1) == weight.spec().extent(0)
                    && result.spec().extent(1) == weight.spec().extent(1))) {
                throw illegal("the gradient " + gradient.spec() + " times " + weight.spec() + " does not give "
                        + result.spec());
            }
            apart(result, gradient);
            apart(result, weight);
        }
        if (result.spec().elements() == 0) {
            return;
        }
        int added = 0;
        for (LinearOutput output : outputs) {
            linear((CudaTensor) output.gradient(), (CudaTensor) output.weight(), result, added);
            added = 1;
        }
    }

    private void linear(CudaTensor gradient, CudaTensor weight, CudaTensor result, int added) {
        long tokens = result.spec().extent(0);
        long in = result.spec().extent(1);
        long outputs = gradient.spec().extent(1);
        long gridX = Math.ceilDiv(in, TILE);
        long gridY = Math.ceilDiv(tokens, TILE);
        QuantizedSpec quantized = weight.quantized();
        if (quantized == null) {
            launches.launch(
                    kernels.get(
                            "gemm_exact",
                            "duo_gemm_backward_"
                                    + DenseOperations.suffix(weight.spec().dtype())),
                    gridX,
                    gridY,
                    1,
                    THREADS,
                    0,
                    gradient.address(),
                    outputs,
                    tokens,
                    weight.address(),
                    result.address(),
                    in,
                    added);
        } else {
            QuantizedLayout layout = QuantizedLayout.of(quantized);
            launches.launch(
                    kernels.get(
                            "gemm_exact",
                            "duo_gemm_backward_" + quantized.format().label()),
                    gridX,
                    gridY,
                    1,
                    THREADS,
                    0,
                    gradient.address(),
                    outputs,
                    tokens,
                    weight.address(),
                    layout.stride(),
                    weight.address() + layout.scales(),
                    layout.kind(),
                    quantized.format().group(),
                    result.address(),
                    in,
                    added);
        }
    }

    @Override
    public void rmsNorm(Tensor x, Tensor weight, float epsilon, Tensor gradient, Tensor inputGradient) {
        begin.run();
        CudaTensor input = arguments.activation("x", x);
        CudaTensor scale = arguments.weight("the weight", weight);
        CudaTensor from = arguments.activation("the gradient", gradient);
        CudaTensor to = arguments.activationTarget("the input gradient", inputGradient);
        sameShape(input, from);
        Arguments.norm(input, scale, to);
        apart(to, input);
        sameOrApart(to, from);
        long group = scale.spec().elements();
        if (input.spec().elements() > 0) {
            launches.launch(
                    kernels.get(
                            "gradients",
                            "duo_rms_norm_backward_"
                                    + DenseOperations.suffix(scale.spec().dtype())),
                    input.spec().elements() / group,
                    1,
                    1,
                    DenseOperations.normThreads(group),
                    0,
                    input.address(),
                    scale.address(),
                    Launches.bits(epsilon),
                    from.address(),
                    to.address(),
                    group);
        }
    }

    @Override
    public void rope(Tensor gradient, int headDim, Rope rope, long position) {
        begin.run();
        CudaTensor target = arguments.activationTarget("the gradient", gradient);
        Arguments.rotation(target, headDim, rope, position);
        synchronized (launches) {
            dense.rotate(target, headDim, rope, position, -1);
        }
    }

    @Override
    public void swiGlu(Tensor gate, Tensor up, Tensor gradient, Tensor gateGradient, Tensor upGradient) {
        begin.run();
        CudaTensor g = arguments.activation("gate", gate);
        CudaTensor u = arguments.activation("up", up);
        CudaTensor d = arguments.activation("the gradient", gradient);
        CudaTensor toGate = arguments.activationTarget("the gate's gradient", gateGradient);
        CudaTensor toUp = arguments.activationTarget("up's gradient", upGradient);
        for (CudaTensor other : List.of(u, d, toGate, toUp)) {
            sameShape(g, other);
        }
        sameOrApart(toGate, g);
        sameOrApart(toGate, d);
        apart(toGate, u);
        sameOrApart(toUp, u);
        apart(toUp, g);
        apart(toUp, d);
        apart(toUp, toGate);
        elementwise(
                "duo_swiglu_backward",
                g,
                g.address(),
                u.address(),
                d.address(),
                toGate.address(),
                toUp.address(),
                g.spec().elements());
    }

    private void elementwise(String kernel, CudaTensor shape, long... values) {
        if (shape.spec().elements() > 0) {
            launches.launch(
                    kernels.get("gradients", kernel),
                    Math.ceilDiv(shape.spec().elements(), THREADS),
                    1,
                    1,
                    THREADS,
                    0,
                    values);
        }
    }

    @Override
    public void attend(Tensor q, Tensor k, Tensor v, Streaming streaming, Tensor out) {
        begin.run();
        CudaTensor queries = arguments.activation("q", q);
        CudaTensor keys = arguments.activation("k", k);
        CudaTensor values = arguments.activation("v", v);
        CudaTensor result = arguments.activationTarget("the output", out);
        requireHeads(queries, keys, values, streaming);
        sameShape(queries, result);
        for (CudaTensor input : List.of(queries, keys, values)) {
            apart(result, input);
        }
        if (result.spec().elements() > 0) {
            attention(
                    "duo_streaming_attention",
                    queries,
                    keys,
                    streaming,
                    false,
                    queries.address(),
                    keys.address(),
                    values.address(),
                    result.address());
        }
    }

    private static void requireHeads(CudaTensor q, CudaTensor k, CudaTensor v, Streaming streaming) {
        sameShape(k, v);
        long kvWidth = k.spec().extent(1);
        if (!(q.spec().extent(0) == k.spec().extent(0)
                && kvWidth > 0
                && kvWidth % streaming.headDim() == 0
                && q.spec().extent(1) % kvWidth == 0)) {
            throw illegal("queries " + q.spec() + " and keys " + k.spec() + " are no heads of " + streaming.headDim()
                    + " in groups");
        }
        if (streaming.headDim() > MOST_HEAD_ELEMENTS) {
            throw illegal("streaming attention takes heads of at most " + MOST_HEAD_ELEMENTS + " elements, not "
                    + streaming.headDim() + " in " + q.spec());
        }
    }

    /** Launches a kernel with these addresses, the extents and the streaming shape. */
    private void attention(
            String kernel, CudaTensor q, CudaTensor k, Streaming streaming, boolean perKey, long... addresses) {
        int dim = streaming.headDim();
        long heads = q.spec().extent(1) / dim;
        long kvHeads = k.spec().extent(1) / dim;
        long tokens = q.spec().extent(0);
        long[] values = Arrays.copyOf(addresses, addresses.length + 7);
        long[] rest = {
            tokens, heads, kvHeads, dim, streaming.sinks(), streaming.recent(), Launches.bits(streaming.scale())
        };
        System.arraycopy(rest, 0, values, addresses.length, rest.length);
        launches.launch(
                kernels.get("streaming_attention", kernel),
                Math.ceilDiv(tokens, ATTENTION_WARPS),
                perKey ? kvHeads : heads,
                1,
                ATTENTION_THREADS,
                ATTENTION_WARPS * (2 * dim + 64) * Float.BYTES,
                values);
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
        begin.run();
        CudaTensor queries = arguments.activation("q", q);
        CudaTensor keys = arguments.activation("k", k);
        CudaTensor values = arguments.activation("v", v);
        CudaTensor from = arguments.activation("the gradient", gradient);
        CudaTensor toQ = arguments.activationTarget("the gradient of q", qGradient);
        CudaTensor toK = arguments.activationTarget("the gradient of k", kGradient);
        CudaTensor toV = arguments.activationTarget("the gradient of v", vGradient);
        requireHeads(queries, keys, values, streaming);
        sameShape(queries, from);
        sameShape(queries, toQ);
        sameShape(keys, toK);
        sameShape(keys, toV);
        for (CudaTensor result : List.of(toQ, toK, toV)) {
            for (CudaTensor input : List.of(queries, keys, values, from)) {
                apart(result, input);
            }
        }
        apart(toQ, toK);
        apart(toQ, toV);
        apart(toK, toV);
        if (toQ.spec().elements() == 0) {
            return;
        }
        long heads = queries.spec().extent(1) / streaming.headDim();
        long statistics = launches.scratch(
                STATISTICS * Float.BYTES * heads * queries.spec().extent(0));
        attention(
                "duo_streaming_queries",
                queries,
                keys,
                streaming,
                false,
                queries.address(),
                keys.address(),
                values.address(),
                from.address(),
                toQ.address(),
                statistics);
        attention(
                "duo_streaming_keys",
                queries,
                keys,
                streaming,
                true,
                queries.address(),
                keys.address(),
                values.address(),
                from.address(),
                statistics,
                toK.address(),
                toV.address());
    }

    @Override
    public void blend(Tensor full, Tensor streaming, float[] gates, Tensor out) {
        begin.run();
        CudaTensor f = arguments.activation("full", full);
        CudaTensor s = arguments.activation("streaming", streaming);
        CudaTensor result = arguments.activationTarget("the output", out);
        sameShape(f, s);
        sameShape(f, result);
        requireGates(f, gates);
        sameOrApart(result, f);
        sameOrApart(result, s);
        if (f.spec().elements() == 0) {
            return;
        }
        long width = f.spec().extent(1);
        synchronized (launches) {
            elementwise(
                    "duo_blend",
                    f,
                    f.address(),
                    s.address(),
                    variables(gates),
                    result.address(),
                    f.spec().elements(),
                    width,
                    width / gates.length);
        }
    }

    private static void requireGates(CudaTensor rows, float[] gates) {
        if (gates.length == 0 || rows.spec().extent(1) % gates.length != 0) {
            throw illegal(gates.length + " gates do not divide the rows of " + rows.spec());
        }
    }

    /** The gates where kernels read them. */
    private long variables(float[] gates) {
        int[] bits = new int[gates.length];
        for (int i = 0; i < bits.length; i++) {
            bits[i] = Float.floatToRawIntBits(gates[i]);
        }
        return launches.vars(bits);
    }

    @Override
    public void blendBackward(
            Tensor full,
            Tensor streaming,
            float[] gates,
            Tensor gradient,
            Tensor streamingGradient,
            Tensor gateGradients) {
        begin.run();
        CudaTensor f = arguments.activation("full", full);
        CudaTensor s = arguments.activation("streaming", streaming);
        CudaTensor d = arguments.activation("the gradient", gradient);
        CudaTensor to = arguments.activationTarget("the streaming gradient", streamingGradient);
        CudaTensor sums = arguments.activationTarget("the gates' gradients", gateGradients);
        for (CudaTensor other : List.of(s, d, to)) {
            sameShape(f, other);
        }
        requireGates(f, gates);
        if (!(sums.spec().extent(0) == 1 && sums.spec().extent(1) == gates.length)) {
            throw illegal("the gradients " + sums.spec() + " of " + gates.length + " gates");
        }
        apart(to, f);
        apart(to, s);
        sameOrApart(to, d);
        for (CudaTensor other : List.of(f, s, d, to)) {
            apart(sums, other);
        }
        long width = f.spec().extent(1);
        synchronized (launches) {
            launches.launch(
                    kernels.get("gradients", "duo_blend_backward"),
                    gates.length,
                    1,
                    1,
                    SUM_THREADS,
                    0,
                    f.address(),
                    s.address(),
                    variables(gates),
                    d.address(),
                    to.address(),
                    sums.address(),
                    f.spec().extent(0),
                    width,
                    width / gates.length);
        }
    }
}
