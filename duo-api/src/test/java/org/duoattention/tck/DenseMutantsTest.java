package org.duoattention.tck;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import org.duoattention.api.backend.Projection;
import org.duoattention.api.tensor.DType;
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
        selections();
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
                            numbers[i] = HalfPrecision.round(DType.F16, numbers[i]);
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

    private void selections() {
        stream("prefers the later of equals", largest(Selections::laterOfEquals), "largestOfEachRow");
        stream("has NaN as the least", largest(Selections::withoutNan), "largestOfEachRow");
        stream("gives zeros one sign", largest(Selections::unsignedZeros), "largestOfEachRow");
        stream("selects in the first row only", largest(Selections::firstRow), "manyRows");
        stream(
                "selects any number",
                swallowing(IllegalArgumentException.class, "topK"),
                "selectionsThatAreNotPossibleAreRefused");
    }

    /** What is wrong with a selection that has arrived. */
    private interface Selections {
        void change(int k, MemorySegment indices, MemorySegment values);

        static void laterOfEquals(int k, MemorySegment indices, MemorySegment values) {
            for (int i = 1; i < k; i++) {
                if (HostNumbers.get(DType.F32, values, i) == HostNumbers.get(DType.F32, values, i - 1)) {
                    int first = HostNumbers.getInt(indices, i - 1);
                    HostNumbers.setInt(indices, i - 1, HostNumbers.getInt(indices, i));
                    HostNumbers.setInt(indices, i, first);
                }
            }
        }

        static void withoutNan(int k, MemorySegment indices, MemorySegment values) {
            for (int i = 0; i < values.byteSize() / 4; i++) {
                if (Double.isNaN(HostNumbers.get(DType.F32, values, i))) {
                    HostNumbers.set(DType.F32, values, i, Double.NEGATIVE_INFINITY);
                }
            }
        }

        static void unsignedZeros(int k, MemorySegment indices, MemorySegment values) {
            for (int i = 0; i < values.byteSize() / 4; i++) {
                HostNumbers.set(DType.F32, values, i, HostNumbers.get(DType.F32, values, i) + 0.0);
            }
        }

        static void firstRow(int k, MemorySegment indices, MemorySegment values) {
            for (int i = k; i < values.byteSize() / 4; i++) {
                HostNumbers.setInt(indices, i, HostNumbers.getInt(indices, i % k));
            }
        }
    }

    private static Mutation largest(Selections change) {
        return call -> {
            Object result = call.proceed();
            if (call.is("topK")) {
                call.stream().synchronize();
                change.change(call.<Integer>argument(1), call.argument(2), call.argument(3));
            }
            return result;
        };
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
