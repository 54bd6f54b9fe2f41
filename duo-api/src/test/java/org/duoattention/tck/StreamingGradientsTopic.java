package org.duoattention.tck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.Gradients;
import org.duoattention.api.backend.Gradients.Streaming;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.tensor.DType;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Streaming attention over a sequence and its backward, against {@link OracleGradients}. */
abstract class StreamingGradientsTopic extends BackendTopic {
    private Gradients gradients;

    @BeforeEach
    void needsGradients() {
        assumeTrue(subject.supports(Capability.GRADIENTS), "skipped: the backend has no backward operations");
        gradients = rig.stream.gradients();
    }

    /** KV heads, group, head dim, sinks and recent tokens. */
    static Stream<Arguments> shapes() {
        List<Arguments> shapes = new ArrayList<>();
        int[][] windows = {{0, 1}, {1, 1}, {0, 5}, {4, 7}, {3, 64}, {16, 13}, {40, 9}, {200, 1}, {0, 500}, {300, 300}};
        for (int[] window : windows) {
            shapes.add(Arguments.of(1, 1, 8, window[0], window[1]));
            shapes.add(Arguments.of(2, 4, 16, window[0], window[1]));
            shapes.add(Arguments.of(1, 8, 13, window[0], window[1]));
        }
        shapes.add(Arguments.of(3, 1, 64, 4, 32));
        shapes.add(Arguments.of(1, 4, 128, 5, 33));
        shapes.add(Arguments.of(2, 8, 32, 16, 48));
        shapes.add(Arguments.of(2, 3, 1, 2, 4));
        shapes.add(Arguments.of(1, 2, 80, 33, 31));
        return shapes.stream();
    }

    @ParameterizedTest(name = "{0} KV heads, groups of {1}, head dim {2}, {3} sinks, {4} recent")
    @MethodSource("shapes")
    void streamingAttentionForwardAndBackward(int kvHeads, int group, int headDim, int sinks, int recent) {
        // The long ones take turns: the oracle's cost grows with their square.
        int[] lengths = (sinks + recent + headDim) % 2 == 0 ? new int[] {1, 13, 127} : new int[] {7, 129};
        for (int tokens : lengths) {
            check(tokens, kvHeads, group, new Streaming(headDim, sinks, recent, (float) (1 / Math.sqrt(headDim))), 2);
        }
    }

    /** Longer than what an implementation may take in one piece. */
    @Test
    void longSequences() {
        check(700, 1, 2, new Streaming(16, 4, 30, 0.25f), 2);
        check(600, 2, 1, new Streaming(8, 290, 10, 0.25f), 2);
        check(600, 1, 1, new Streaming(8, 3, 290, 0.25f), 2);
        check(545, 1, 1, new Streaming(8, 258, 257, 0.25f), 2);
    }

    /** Probabilities from next to nothing to nearly 1. */
    @Test
    void largeProducts() {
        check(129, 1, 4, new Streaming(16, 4, 30, 1f), 6);
        check(129, 1, 1, new Streaming(16, 4, 30, -1f), 6);
    }

    private void check(int tokens, int kvHeads, int group, Streaming streaming, double size) {
        int heads = kvHeads * group;
        int width = heads * streaming.headDim();
        int kvWidth = kvHeads * streaming.headDim();
        double[] q = rig.random(DType.F32, tokens * width, size);
        double[] k = rig.random(DType.F32, tokens * kvWidth, size);
        double[] v = rig.random(DType.F32, tokens * kvWidth, 2);
        double[] gradient = rig.random(DType.F32, tokens * width, 1);
        Tensor queries = rig.activation(q, tokens, width);
        Tensor keys = rig.activation(k, tokens, kvWidth);
        Tensor values = rig.activation(v, tokens, kvWidth);
        Tensor from = rig.activation(gradient, tokens, width);
        GradientBounds.Attention expected = GradientBounds.attention(
                q,
                k,
                v,
                heads,
                kvHeads,
                streaming,
                gradient,
                subject.operandRounding().applyAsDouble(DType.F32));
        String what = tokens + " tokens, ";
        Rig.Guarded out = rig.guarded(tokens, width);
        gradients.attend(queries, keys, values, streaming, out.rows());
        expected.out().check(what + "attention", out.numbers("attention"));
        Rig.Guarded toQ = rig.guarded(tokens, width);
        Rig.Guarded toK = rig.guarded(tokens, kvWidth);
        Rig.Guarded toV = rig.guarded(tokens, kvWidth);
        gradients.attendBackward(queries, keys, values, streaming, from, toQ.rows(), toK.rows(), toV.rows());
        expected.q().check(what + "the gradient of q", toQ.numbers("q"));
        expected.k().check(what + "the gradient of k", toK.numbers("k"));
        expected.v().check(what + "the gradient of v", toV.numbers("v"));
        assertThat(rig.download(from)).as("the gradient is read only").isEqualTo(gradient);
    }

    @Test
    void sameInputsGiveTheSameAttention() {
        int tokens = 700;
        Streaming streaming = new Streaming(32, 5, 40, 0.2f);
        Tensor q = rig.activation(rig.random(DType.F32, tokens * 128, 2), tokens, 128);
        Tensor k = rig.activation(rig.random(DType.F32, tokens * 64, 2), tokens, 64);
        double[][] results = new double[2][];
        for (int i = 0; i < 2; i++) {
            Tensor out = rig.zeros(DType.F32, tokens, 128);
            Tensor toQ = rig.zeros(DType.F32, tokens, 128);
            Tensor toK = rig.zeros(DType.F32, tokens, 64);
            Tensor toV = rig.zeros(DType.F32, tokens, 64);
            gradients.attend(q, k, k, streaming, out);
            gradients.attendBackward(q, k, k, streaming, q, toQ, toK, toV);
            results[i] = Stream.of(out, toQ, toK, toV)
                    .flatMapToDouble(tensor -> Arrays.stream(rig.download(tensor)))
                    .toArray();
        }
        assertThat(results[1]).isEqualTo(results[0]);
    }
}
