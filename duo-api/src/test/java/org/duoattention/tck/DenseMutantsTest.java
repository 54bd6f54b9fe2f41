package org.duoattention.tck;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import org.duoattention.api.backend.Projection;
import org.junit.jupiter.api.Test;
import org.junit.platform.launcher.listeners.TestExecutionSummary;

/** Wrong transfers and dense operations. */
class DenseMutantsTest extends Mutants {
    @Test
    void whatIsNotMutatedPasses() {
        Set<String> tests = Set.of("linear", "rope", "streamingHeads", "scoresSumTheProbabilities");
        TestExecutionSummary result = run(NO_MUTANT, tests);
        assertThat(result.getTestsSucceededCount()).isGreaterThan(100);
        assertThat(result.getTotalFailureCount()).isZero();
    }

    @Override
    void define() {
        transfers();
        denseOperations();
    }

    private void transfers() {
        stream("uploads late", new LateUploads(), "uploadReadsItsSourceBeforeItReturns");
        stream(
                "accepts transfers of another size",
                swallowing(IllegalArgumentException.class, "upload", "download"),
                "transfersOfAnotherSizeAreRefused");
        stream(
                "writes to adopted tensors",
                swallowing(IllegalArgumentException.class, "upload", "add"),
                "adoptedTensorsAreNotWritten");
    }

    private void denseOperations() {
        stream(
                "embeds the next token",
                call -> {
                    if (call.is("embed")) {
                        int[] ids = call.<int[]>argument(1).clone();
                        ids[0] = (ids[0] + 1) % 31;
                        call.arguments[1] = ids;
                    }
                    return call.proceed();
                },
                "embed");
        stream(
                "accepts ids out of range",
                swallowing(IllegalArgumentException.class, "embed"),
                "idsOutOfRangeAreRefused");
        stream(
                "forgets epsilon",
                call -> {
                    if (call.is("rmsNorm")) {
                        call.arguments[2] = 0f;
                    }
                    return call.proceed();
                },
                "rmsNormOfZerosAndOfLargeNumbers");
        stream(
                "forgets the bias",
                call -> {
                    if (call.is("linear")) {
                        Projection projection = call.argument(1);
                        call.arguments[1] = new Projection(projection.weight(), Optional.empty(), projection.out());
                    }
                    return call.proceed();
                },
                "linear");
        stream(
                "writes one element past the output",
                call -> {
                    Object result = call.proceed();
                    if (call.is("linear")) {
                        OpaqueTensor out =
                                (OpaqueTensor) call.<Projection>argument(1).out();
                        call.stream().synchronize();
                        out.write(out.size(), new double[] {1});
                    }
                    return result;
                },
                "linear");
        stream(
                "rounds outputs to half precision",
                call -> {
                    Object result = call.proceed();
                    if (call.is("linear")) {
                        OpaqueTensor out =
                                (OpaqueTensor) call.<Projection>argument(1).out();
                        call.stream().synchronize();
                        double[] numbers = out.read().clone();
                        for (int i = 0; i < numbers.length; i++) {
                            numbers[i] = HalfPrecision.round(org.duoattention.api.tensor.DType.F16, numbers[i]);
                        }
                        out.write(numbers);
                    }
                    return result;
                },
                "linear");
        stream("is not deterministic", new Noise(), "sameInputsGiveTheSameBits");
        stream(
                "has float positions",
                call -> {
                    if (call.is("rope")) {
                        call.arguments[3] = (long) (float) call.<Long>argument(3);
                    }
                    return call.proceed();
                },
                "rope");
        stream(
                "starts rotating at position 1",
                call -> {
                    if (call.is("rope")) {
                        call.arguments[3] = call.<Long>argument(3) + 1;
                    }
                    return call.proceed();
                },
                "rope");
        stream(
                "swaps gate and up",
                call -> {
                    if (call.is("swiGlu")) {
                        Object gate = call.arguments[0];
                        call.arguments[0] = call.arguments[1];
                        call.arguments[1] = gate;
                    }
                    return call.proceed();
                },
                "swiGlu");
        stream(
                "accepts any shape",
                swallowing(IllegalArgumentException.class, "embed", "rmsNorm", "linear", "rope", "swiGlu", "add"),
                "shapesThatDoNotFitAreRefused");
    }

    private static final class LateUploads implements Mutation {
        private final Deque<Call> waiting = new ArrayDeque<>();

        @Override
        public Object apply(Call call) throws Throwable {
            if (call.is("upload")) {
                waiting.add(call);
                return null;
            }
            while (!waiting.isEmpty()) {
                waiting.remove().proceed();
            }
            return call.proceed();
        }
    }

    private static final class Noise implements Mutation {
        private final SplittableRandom random = new SplittableRandom(1);

        @Override
        public Object apply(Call call) throws Throwable {
            Object result = call.proceed();
            if (call.is("linear")) {
                OpaqueTensor out = (OpaqueTensor) call.<Projection>argument(1).out();
                call.stream().synchronize();
                double[] numbers = out.read().clone();
                for (int i = 0; i < numbers.length; i++) {
                    numbers[i] *= 1 + random.nextDouble() * 0x1p-22;
                }
                out.write(numbers);
            }
            return result;
        }
    }
}
