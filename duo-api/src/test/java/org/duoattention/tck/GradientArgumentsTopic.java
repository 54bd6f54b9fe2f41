package org.duoattention.tck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Gradients;
import org.duoattention.api.backend.Gradients.LinearOutput;
import org.duoattention.api.backend.Gradients.Streaming;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.QuantizedSpec;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What the backward operations refuse. */
abstract class GradientArgumentsTopic extends BackendTopic {
    private static final Streaming STREAMING = new Streaming(4, 1, 2, 1);
    private static final float[] GATES = {0.5f, 1};

    private final Map<String, ThrowingCallable> calls = new LinkedHashMap<>();
    private Gradients gradients;
    private Tensor x;
    private Tensor y;
    private Tensor z;
    private Tensor u;
    private Tensor w;
    private Tensor kv;
    private Tensor kv1;
    private Tensor kv2;
    private Tensor norm;
    private Tensor square;
    private Tensor sums;

    @BeforeEach
    void needsGradients() {
        assumeTrue(subject.supports(Capability.GRADIENTS), "skipped: the backend has no backward operations");
        gradients = rig.stream.gradients();
        x = rig.zeros(DType.F32, 4, 8);
        y = rig.zeros(DType.F32, 4, 8);
        z = rig.zeros(DType.F32, 4, 8);
        u = rig.zeros(DType.F32, 4, 8);
        w = rig.zeros(DType.F32, 4, 8);
        kv = rig.zeros(DType.F32, 4, 4);
        kv1 = rig.zeros(DType.F32, 4, 4);
        kv2 = rig.zeros(DType.F32, 4, 4);
        norm = rig.zeros(DType.F16, 8);
        square = rig.zeros(DType.F16, 8, 8);
        sums = rig.zeros(DType.F32, 1, 2);
        calls.clear();
    }

    private void refused() {
        calls.forEach((name, call) -> assertThatThrownBy(call).as(name).isInstanceOf(IllegalArgumentException.class));
        rig.stream.synchronize();
    }

    private void linears(Tensor gradient, Tensor weight, Tensor out) {
        gradients.linears(List.of(new LinearOutput(x, square), new LinearOutput(gradient, weight)), out);
    }

    /** One valid call of every operation. */
    private Map<String, Consumer<Gradients>> operations() {
        Map<String, Consumer<Gradients>> operations = new LinkedHashMap<>();
        operations.put("linears", own -> own.linears(List.of(new LinearOutput(x, square)), y));
        operations.put("rmsNorm", own -> own.rmsNorm(x, norm, 1e-5f, y, z));
        operations.put("rope", own -> own.rope(x, 4, DenseTopic.rope(2, 1), 0));
        operations.put("swiGlu", own -> own.swiGlu(x, y, z, u, w));
        operations.put("attend", own -> own.attend(x, kv, kv1, STREAMING, y));
        operations.put("attendBackward", own -> own.attendBackward(x, kv, kv, STREAMING, y, z, kv1, kv2));
        operations.put("blend", own -> own.blend(x, y, GATES, z));
        operations.put("blendBackward", own -> own.blendBackward(x, y, GATES, z, u, sums));
        return operations;
    }

    @Test
    void validCallsPass() {
        operations().values().forEach(operation -> operation.accept(gradients));
        rig.stream.synchronize();
    }

    /** The object was got in time; its use comes too late. */
    @Test
    void aClosedStreamRefusesEachBackwardOperation() {
        ComputeStream stream = device.openStream();
        Gradients late = stream.gradients();
        stream.close();
        operations()
                .forEach((name, operation) -> assertThatThrownBy(() -> operation.accept(late))
                        .as(name)
                        .isInstanceOf(IllegalStateException.class));
    }

    @Test
    void anotherThreadIsRefusedEachBackwardOperation() throws Exception {
        Map<String, Object> outcomes = new LinkedHashMap<>();
        Thread thread = Thread.ofPlatform()
                .start(() -> operations().forEach((name, operation) -> {
                    try {
                        operation.accept(gradients);
                        outcomes.put(name, "returned");
                    } catch (RuntimeException e) {
                        outcomes.put(name, e.getClass());
                    }
                }));
        thread.join();
        assertThat(outcomes)
                .hasSameSizeAs(operations())
                .allSatisfy((name, outcome) -> assertThat(outcome).as(name).isEqualTo(WrongThreadException.class));
        rig.stream.synchronize();
    }

    @Test
    void gradientShapesThatDoNotFitAreRefused() {
        Tensor wide = rig.zeros(DType.F32, 4, 9);
        Tensor tall = rig.zeros(DType.F32, 5, 8);
        Tensor flat = rig.zeros(DType.F32, 32);
        Tensor half = rig.zeros(DType.F16, 4, 8);
        Tensor bad = rig.zeros(DType.F16, 3);
        Tensor tallKv = rig.zeros(DType.F32, 5, 4);
        Tensor three = rig.zeros(DType.F32, 1, 3);
        Tensor column = rig.zeros(DType.F32, 2, 1);
        Rope rope = DenseTopic.rope(1, 1);
        calls.put("linears, none", () -> gradients.linears(List.of(), y));
        calls.put("linears, out", () -> linears(x, square, wide));
        calls.put("linears, rows", () -> linears(tall, square, y));
        calls.put("linears, gradient", () -> linears(wide, square, y));
        calls.put("linears, weight", () -> linears(x, norm, y));
        calls.put("linears, half gradient", () -> linears(half, square, y));
        calls.put("linears, half out", () -> linears(x, square, half));
        calls.put("linears, flat", () -> linears(flat, square, y));
        calls.put("rmsNorm, group", () -> gradients.rmsNorm(x, bad, 1e-5f, y, z));
        calls.put("rmsNorm, gradient", () -> gradients.rmsNorm(x, norm, 1e-5f, wide, z));
        calls.put("rmsNorm, out", () -> gradients.rmsNorm(x, norm, 1e-5f, y, tall));
        calls.put("rmsNorm, half", () -> gradients.rmsNorm(half, norm, 1e-5f, y, z));
        calls.put("rope, heads", () -> gradients.rope(x, 3, rope, 0));
        calls.put("rope, pairs", () -> gradients.rope(x, 4, DenseTopic.rope(3, 1), 0));
        calls.put("rope, position", () -> gradients.rope(x, 4, rope, -1));
        calls.put("rope, half", () -> gradients.rope(half, 8, rope, 0));
        calls.put("swiGlu, up", () -> gradients.swiGlu(x, tall, y, z, u));
        calls.put("swiGlu, gradient", () -> gradients.swiGlu(x, y, wide, z, u));
        calls.put("swiGlu, gate's", () -> gradients.swiGlu(x, y, z, tall, u));
        calls.put("swiGlu, up's", () -> gradients.swiGlu(x, y, z, u, half));
        calls.put("attend, k", () -> gradients.attend(x, tallKv, tallKv, STREAMING, y));
        calls.put("attend, v", () -> gradients.attend(x, kv, x, STREAMING, y));
        calls.put("attend, out", () -> gradients.attend(x, kv, kv, STREAMING, wide));
        calls.put("attend, heads", () -> gradients.attend(x, kv, kv, new Streaming(3, 1, 1, 1), y));
        calls.put("attend, half", () -> gradients.attend(half, kv, kv, STREAMING, y));
        calls.put("attend, more KV heads", () -> gradients.attend(kv, x, x, STREAMING, kv1));
        calls.put("backward, q", () -> gradients.attendBackward(tall, kv, kv, STREAMING, y, z, kv1, kv2));
        calls.put("backward, gradient", () -> gradients.attendBackward(x, kv, kv, STREAMING, wide, z, kv1, kv2));
        calls.put("backward, q's", () -> gradients.attendBackward(x, kv, kv, STREAMING, y, tall, kv1, kv2));
        calls.put("backward, k's", () -> gradients.attendBackward(x, kv, kv, STREAMING, y, z, u, kv2));
        calls.put("backward, v's", () -> gradients.attendBackward(x, kv, kv, STREAMING, y, z, kv1, tallKv));
        calls.put("blend, gates", () -> gradients.blend(x, y, new float[3], z));
        calls.put("blend, no gates", () -> gradients.blend(x, y, new float[0], z));
        calls.put("blend, streaming", () -> gradients.blend(x, tall, GATES, z));
        calls.put("blend, out", () -> gradients.blend(x, y, GATES, wide));
        calls.put("blend, half", () -> gradients.blend(half, half, GATES, half));
        calls.put("blendBackward, gates", () -> gradients.blendBackward(x, y, new float[3], z, u, three));
        calls.put("blendBackward, sums", () -> gradients.blendBackward(x, y, GATES, z, u, three));
        calls.put("blendBackward, column", () -> gradients.blendBackward(x, y, GATES, z, u, column));
        calls.put("blendBackward, gradient", () -> gradients.blendBackward(x, y, GATES, tall, u, sums));
        calls.put("blendBackward, streaming's", () -> gradients.blendBackward(x, y, GATES, z, wide, sums));
        refused();
    }

    @Test
    void overlapsAreRefused() {
        Tensor more = rig.zeros(DType.F32, 5, 8);
        Tensor lower = more.rows(0, 4);
        Tensor upper = more.rows(1, 4);
        Tensor many = rig.zeros(DType.F32, 8, 8);
        calls.put("linears into a gradient", () -> gradients.linears(List.of(new LinearOutput(x, square)), x));
        calls.put("linears into a weight", () -> gradients.linears(List.of(new LinearOutput(many, many)), many));
        calls.put("linears, second", () -> linears(y, square, y));
        calls.put("rmsNorm into x", () -> gradients.rmsNorm(x, norm, 1e-5f, y, x));
        calls.put("rmsNorm, shifted", () -> gradients.rmsNorm(x, norm, 1e-5f, lower, upper));
        calls.put("swiGlu, gate's into up", () -> gradients.swiGlu(x, y, z, y, w));
        calls.put("swiGlu, gate's shifted", () -> gradients.swiGlu(lower, y, z, upper, w));
        calls.put("swiGlu, gate's shifted gradient", () -> gradients.swiGlu(x, y, lower, upper, w));
        calls.put("swiGlu, up's into gate", () -> gradients.swiGlu(x, y, z, w, x));
        calls.put("swiGlu, up's into gradient", () -> gradients.swiGlu(x, y, z, w, z));
        calls.put("swiGlu, up's shifted", () -> gradients.swiGlu(x, lower, z, w, upper));
        calls.put("swiGlu, both", () -> gradients.swiGlu(x, y, z, w, w));
        calls.put("attend into q", () -> gradients.attend(x, kv, kv, STREAMING, x));
        calls.put("attend into k", () -> gradients.attend(x, y, z, STREAMING, y));
        calls.put("attend into v", () -> gradients.attend(x, y, z, STREAMING, z));
        calls.put("backward, q's into q", () -> gradients.attendBackward(x, kv, kv, STREAMING, y, x, kv1, kv2));
        calls.put("backward, q's into gradient", () -> gradients.attendBackward(x, kv, kv, STREAMING, y, y, kv1, kv2));
        calls.put("backward, k's into k", () -> gradients.attendBackward(x, kv, kv1, STREAMING, y, z, kv, kv2));
        calls.put("backward, v's into v", () -> gradients.attendBackward(x, kv, kv1, STREAMING, y, z, kv2, kv1));
        calls.put("backward, k's and v's", () -> gradients.attendBackward(x, kv, kv, STREAMING, y, z, kv1, kv1));
        calls.put("backward, q's and k's", () -> gradients.attendBackward(x, y, y, STREAMING, z, u, u, w));
        calls.put("blend, shifted", () -> gradients.blend(lower, y, GATES, upper));
        calls.put("blend, shifted streaming", () -> gradients.blend(x, lower, GATES, upper));
        calls.put("blendBackward into full", () -> gradients.blendBackward(x, y, GATES, z, x, sums));
        calls.put("blendBackward into streaming", () -> gradients.blendBackward(x, y, GATES, z, y, sums));
        calls.put("blendBackward, shifted", () -> gradients.blendBackward(x, y, GATES, lower, upper, sums));
        refused();
    }

    @Test
    void adoptedAndForeignTensorsAreNoOutputs() throws Exception {
        Tensor adopted = rig.weight(DType.F32, new double[32], 4, 8);
        Tensor adoptedKv = rig.weight(DType.F32, new double[16], 4, 4);
        Tensor adoptedSums = rig.weight(DType.F32, new double[2], 1, 2);
        calls.put("linears", () -> linears(x, square, adopted));
        calls.put("rmsNorm", () -> gradients.rmsNorm(x, norm, 1e-5f, y, adopted));
        calls.put("rope", () -> gradients.rope(adopted, 4, DenseTopic.rope(2, 1), 0));
        calls.put("swiGlu, gate's", () -> gradients.swiGlu(x, y, z, adopted, w));
        calls.put("swiGlu, up's", () -> gradients.swiGlu(x, y, z, w, adopted));
        calls.put("attend", () -> gradients.attend(x, kv, kv, STREAMING, adopted));
        calls.put("q's", () -> gradients.attendBackward(x, kv, kv, STREAMING, y, adopted, kv1, kv2));
        calls.put("k's", () -> gradients.attendBackward(x, kv, kv, STREAMING, y, z, adoptedKv, kv2));
        calls.put("v's", () -> gradients.attendBackward(x, kv, kv, STREAMING, y, z, kv1, adoptedKv));
        calls.put("blend", () -> gradients.blend(x, y, GATES, adopted));
        calls.put("streaming's", () -> gradients.blendBackward(x, y, GATES, z, adopted, sums));
        calls.put("gates'", () -> gradients.blendBackward(x, y, GATES, z, w, adoptedSums));
        try (Device second = subject.open();
                Tensor foreign = second.allocate(x.spec())) {
            calls.put("linears, foreign", () -> linears(foreign, square, y));
            calls.put("rmsNorm, foreign", () -> gradients.rmsNorm(foreign, norm, 1e-5f, y, z));
            calls.put("rope, foreign", () -> gradients.rope(foreign, 4, DenseTopic.rope(2, 1), 0));
            calls.put("swiGlu, foreign", () -> gradients.swiGlu(x, foreign, z, u, w));
            calls.put("attend, foreign", () -> gradients.attend(foreign, kv, kv, STREAMING, y));
            calls.put("q's, foreign", () -> gradients.attendBackward(x, kv, kv, STREAMING, y, foreign, kv1, kv2));
            calls.put("blend, foreign", () -> gradients.blend(x, foreign, GATES, y));
            calls.put("blendBackward, foreign", () -> gradients.blendBackward(x, y, GATES, foreign, z, sums));
            refused();
        }
    }

    @Test
    void quantizedWeightsAreOfLinearLayersOnly() {
        assumeTrue(
                subject.supports(Capability.QUANTIZED_WEIGHTS), "skipped: the backend does not take quantised weights");
        BlockFormat.Grouped format = new BlockFormat.Grouped(8, 8, false, DType.F32);
        Tensor weight = rig.closing(device.adopt(
                QuantizedNumbers.of(new QuantizedSpec(format, 4, 8), rig.random).matrix(rig.arena)));
        calls.put("linears, gradient", () -> linears(weight, square, y));
        calls.put("linears, out", () -> linears(x, square, weight));
        calls.put("rmsNorm", () -> gradients.rmsNorm(weight, norm, 1e-5f, y, z));
        calls.put("rope", () -> gradients.rope(weight, 4, DenseTopic.rope(2, 1), 0));
        calls.put("swiGlu", () -> gradients.swiGlu(weight, y, z, u, w));
        calls.put("attend", () -> gradients.attend(weight, kv, kv, STREAMING, y));
        calls.put("backward", () -> gradients.attendBackward(x, kv, kv, STREAMING, weight, z, kv1, kv2));
        calls.put("blend", () -> gradients.blend(weight, y, GATES, z));
        calls.put("blendBackward", () -> gradients.blendBackward(x, weight, GATES, z, u, sums));
        refused();
    }
}
