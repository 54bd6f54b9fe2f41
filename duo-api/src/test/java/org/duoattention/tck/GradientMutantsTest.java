package org.duoattention.tck;

import java.util.List;
import java.util.function.UnaryOperator;
import org.duoattention.api.backend.Gradients;
import org.duoattention.api.backend.Gradients.Streaming;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.backend.Tensor;

/** Wrong backward operations. */
class GradientMutantsTest extends Mutants {
    private static final String ATTENTION = "streamingAttentionForwardAndBackward";

    @Override
    void define() {
        dense();
        attention();
        arguments();
    }

    private void dense() {
        gradients(
                "leaves out the last layer",
                call -> {
                    if (call.is("linears")) {
                        List<Gradients.LinearOutput> layers = call.argument(0);
                        call.arguments[0] = layers.subList(0, Math.max(1, layers.size() - 1));
                    }
                    return call.proceed();
                },
                "linearBackward",
                "linearBackwardThroughQuantizedWeights");
        gradients("normalises without epsilon", replacing("rmsNorm", 2, 0f), "rmsNormBackwardOfZerosAndOfLargeNumbers");
        gradients(
                "takes the factor for the gradient of rmsNorm",
                call -> {
                    if (call.is("rmsNorm")) {
                        call.stream()
                                .rmsNorm(call.argument(3), call.argument(1), call.<Float>argument(2), call.argument(4));
                        return null;
                    }
                    return call.proceed();
                },
                "rmsNormBackward",
                "rmsNormBackwardOfEachHead");
        gradients(
                "rotates forwards",
                call -> {
                    if (call.is("rope")) {
                        call.stream()
                                .rope(
                                        call.argument(0),
                                        call.<Integer>argument(1),
                                        call.argument(2),
                                        call.<Long>argument(3));
                        return null;
                    }
                    return call.proceed();
                },
                "ropeBackward",
                "ropeBackwardUndoesRope");
        gradients(
                "forgets the attention factor",
                call -> {
                    if (call.is("rope")) {
                        call.arguments[2] = withFactor(call.argument(2));
                    }
                    return call.proceed();
                },
                "ropeBackward",
                "ropeBackwardUndoesRope");
        gradients("negates the gate's gradient", negating("swiGlu", 3), "swiGluBackward");
        gradients(
                "writes up's gradient past its end",
                call -> {
                    Object result = call.proceed();
                    if (call.is("swiGlu")) {
                        call.stream().synchronize();
                        OpaqueTensor out = (OpaqueTensor) call.<Tensor>argument(4);
                        out.write(out.size(), new double[] {1});
                    }
                    return result;
                },
                "swiGluBackward");
        gradients(
                "blends the other way round",
                call -> {
                    if (call.is("blend", "blendBackward")) {
                        float[] gates = call.<float[]>argument(2).clone();
                        for (int h = 0; h < gates.length; h++) {
                            gates[h] = 1 - gates[h];
                        }
                        call.arguments[2] = gates;
                    }
                    return call.proceed();
                },
                "blendForwardAndBackward");
        gradients("negates the gates' gradients", negating("blendBackward", 5), "blendForwardAndBackward");
        gradients("is not deterministic", new Drift(), "sameInputsGiveTheSameGradients");
    }

    private static Rope withFactor(Rope rope) {
        double[] frequencies = new double[rope.pairs()];
        for (int i = 0; i < frequencies.length; i++) {
            frequencies[i] = rope.inverseFrequency(i);
        }
        return new Rope(frequencies, 1);
    }

    private void attention() {
        gradients("forgets the scale", streaming(s -> new Streaming(s.headDim(), s.sinks(), s.recent(), 1)), ATTENTION);
        gradients(
                "sees one token more",
                streaming(s -> new Streaming(s.headDim(), s.sinks(), s.recent() + 1, s.scale())),
                ATTENTION);
        gradients(
                "sees one sink less",
                streaming(s -> new Streaming(s.headDim(), Math.max(0, s.sinks() - 1), s.recent(), s.scale())),
                ATTENTION);
        gradients(
                "forgets the scale backwards",
                backward(s -> new Streaming(s.headDim(), s.sinks(), s.recent(), 1)),
                ATTENTION);
        gradients(
                "sees all sinks but the first backwards",
                backward(s -> new Streaming(s.headDim(), Math.max(0, s.sinks() - 1), s.recent(), s.scale())),
                ATTENTION,
                "longSequences");
        gradients("negates the queries' gradients", negating("attendBackward", 5), ATTENTION);
        gradients("takes one query head of each group", new OneOfGroup(), ATTENTION);
    }

    private void arguments() {
        String[] operations = {
            "linears", "rmsNorm", "rope", "swiGlu", "attend", "attendBackward", "blend", "blendBackward"
        };
        for (String operation : operations) {
            gradients(
                    "accepts anything for " + operation,
                    swallowing(IllegalArgumentException.class, operation),
                    "gradientShapesThatDoNotFitAreRefused",
                    "adoptedAndForeignTensorsAreNoOutputs",
                    "quantizedWeightsAreOfLinearLayersOnly");
            gradients(
                    "does not mind closed tensors in " + operation,
                    swallowing(IllegalStateException.class, operation),
                    "closedTensorsAndSlabsAreRefused",
                    "aClosedStreamRefusesEachBackwardOperation");
            gradients(
                    "runs " + operation + " on any thread",
                    swallowing(WrongThreadException.class, operation),
                    "anotherThreadIsRefusedEachBackwardOperation");
            if (!operation.equals("rope")) {
                gradients(
                        "lets anything overlap in " + operation,
                        swallowing(IllegalArgumentException.class, operation),
                        "overlapsAreRefused");
            }
        }
    }

    private static Mutation replacing(String method, int argument, Object value) {
        return call -> {
            if (call.is(method)) {
                call.arguments[argument] = value;
            }
            return call.proceed();
        };
    }

    /** Changes the sign of an output. */
    private static Mutation negating(String method, int output) {
        return call -> {
            Object result = call.proceed();
            if (call.is(method)) {
                call.stream().synchronize();
                OpaqueTensor out = (OpaqueTensor) call.<Tensor>argument(output);
                double[] numbers = out.read().clone();
                for (int i = 0; i < numbers.length; i++) {
                    numbers[i] = -numbers[i];
                }
                out.write(numbers);
            }
            return result;
        };
    }

    /** Changes the shape of attention, forwards and backwards. */
    private static Mutation streaming(UnaryOperator<Streaming> change) {
        return streaming(change, "attend", "attendBackward");
    }

    private static Mutation backward(UnaryOperator<Streaming> change) {
        return streaming(change, "attendBackward");
    }

    private static Mutation streaming(UnaryOperator<Streaming> change, String... methods) {
        return call -> {
            if (call.is(methods)) {
                call.arguments[3] = change.apply(call.argument(3));
            }
            return call.proceed();
        };
    }

    /** Adds up the keys' gradients of one query head instead of the whole group. */
    private static final class OneOfGroup implements Mutation {
        @Override
        public Object apply(Call call) throws Throwable {
            Object result = call.proceed();
            if (call.is("attendBackward")) {
                call.stream().synchronize();
                OpaqueTensor out = (OpaqueTensor) call.<Tensor>argument(6);
                long group =
                        call.<Tensor>argument(0).spec().extent(1) / out.spec().extent(1);
                double[] numbers = out.read().clone();
                for (int i = 0; i < numbers.length; i++) {
                    numbers[i] /= group;
                }
                out.write(numbers);
            }
            return result;
        }
    }

    /** Every result is a little larger than the one before. */
    private static final class Drift implements Mutation {
        private double factor = 1;

        @Override
        public Object apply(Call call) throws Throwable {
            Object result = call.proceed();
            if (call.is("linears")) {
                factor += 0x1p-22;
                call.stream().synchronize();
                OpaqueTensor out = (OpaqueTensor) call.<Tensor>argument(1);
                double[] numbers = out.read().clone();
                for (int i = 0; i < numbers.length; i++) {
                    numbers[i] *= factor;
                }
                out.write(numbers);
            }
            return result;
        }
    }
}
