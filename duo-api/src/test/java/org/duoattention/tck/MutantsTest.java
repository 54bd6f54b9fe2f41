package org.duoattention.tck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Probe;
import org.duoattention.api.backend.Projection;
import org.duoattention.api.backend.Requirements;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.cache.SlotTable;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.extension.AfterTestExecutionCallback;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.platform.engine.FilterResult;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.Launcher;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.PostDiscoveryFilter;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;
import org.junit.platform.launcher.listeners.SummaryGeneratingListener;
import org.junit.platform.launcher.listeners.TestExecutionSummary;

/** Breaks the opaque backend in one way after the other: the backend contract notices each. */
class MutantsTest {
    /** A call on its way to a device or stream of the opaque backend. */
    private static final class Call {
        final String method;
        final Object[] arguments;
        private final Object target;
        private final java.lang.reflect.Method reflected;

        Call(Object target, java.lang.reflect.Method method, Object[] arguments) {
            this.target = target;
            this.reflected = method;
            this.method = method.getName();
            this.arguments = arguments == null ? new Object[0] : arguments.clone();
        }

        boolean is(String... names) {
            return Set.of(names).contains(method);
        }

        ComputeStream stream() {
            return (ComputeStream) target;
        }

        @SuppressWarnings("unchecked")
        <T> T argument(int index) {
            return (T) arguments[index];
        }

        Object proceed() throws Throwable {
            try {
                return reflected.invoke(target, arguments);
            } catch (InvocationTargetException e) {
                throw e.getCause();
            }
        }
    }

    /** What is wrong with a device or with a stream. */
    @FunctionalInterface
    private interface Mutation {
        Object apply(Call call) throws Throwable;
    }

    private record Mutant(Mutation device, Mutation stream, boolean acceptsAnyOption, List<String> tests) {}

    private static final Launcher LAUNCHER = LauncherFactory.create();
    private static final Mutant NO_MUTANT = new Mutant(Call::proceed, Call::proceed, false, List.of());

    private final Map<String, Mutant> mutants = new LinkedHashMap<>();

    private void device(String name, Mutation mutation, String... tests) {
        mutants.put(name, new Mutant(mutation, Call::proceed, false, List.of(tests)));
    }

    private void stream(String name, Mutation mutation, String... tests) {
        mutants.put(name, new Mutant(Call::proceed, mutation, false, List.of(tests)));
    }

    @TestFactory
    Stream<DynamicTest> everyMutantIsNoticed() {
        transfers();
        denseOperations();
        attention();
        memoryAndLifecycle();
        return mutants.entrySet().stream()
                .map(mutant -> DynamicTest.dynamicTest(mutant.getKey(), () -> {
                    for (String test : mutant.getValue().tests()) {
                        TestExecutionSummary result = run(mutant.getValue(), Set.of(test));
                        assertThat(result.getTestsFailedCount())
                                .as("failures of %s", test)
                                .isPositive();
                    }
                }));
    }

    @Test
    void whatIsNotMutatedPasses() {
        Set<String> tests = Set.of("linear", "rope", "streamingHeads", "scoresSumTheProbabilities");
        TestExecutionSummary result = run(NO_MUTANT, tests);
        assertThat(result.getTestsSucceededCount()).isGreaterThan(100);
        assertThat(result.getTotalFailureCount()).isZero();
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

    private void attention() {
        stream(
                "forgets the scale",
                call -> {
                    if (call.is("attend", "attendAll")) {
                        call.arguments[2] = 1f;
                    }
                    return call.proceed();
                },
                "retrievalHeads",
                "attendAllIsEveryHeadOnce");
        stream("reads the wrong KV head", this::interleavedGroups, "retrievalHeads");
        stream(
                "writes columns of other heads",
                call -> {
                    Object result = call.proceed();
                    if (call.is("attend")) {
                        SlabSpec spec = call.<Slab>argument(0).spec();
                        ModelShape shape = spec.shape();
                        call.stream().synchronize();
                        for (int head = 0; head < shape.kvHeads(); head++) {
                            if (!spec.heads().contains(head)) {
                                int column = head * shape.queryHeadsPerKvHead() * shape.headDim();
                                ((OpaqueTensor) call.<Object>argument(4)).write(column, new double[] {0});
                            }
                        }
                    }
                    return result;
                },
                "onlyTheColumnsOfTheSlabsHeadsAreWritten");
        device(
                "ignores the sinks",
                retaining(r -> new Retention.SinkAndRecent(0, r.recent() + r.sinks())),
                "streamingHeads");
        device(
                "keeps one recent token more",
                retaining(r -> new Retention.SinkAndRecent(r.sinks(), r.recent() + 1)),
                "streamingHeads",
                "windowModeDoesNotDependOnChunks");
        device(
                "keeps one sink less",
                retaining(r -> new Retention.SinkAndRecent(Math.max(0, r.sinks() - 1), r.recent())),
                "streamingHeads",
                "windowModeDoesNotDependOnChunks");
        stream("sees evicted tokens", call -> call.is("evict") ? null : call.proceed(), "streamingHeads");
        stream("has no window", mode(PrefillMode.UPSTREAM), "streamingHeads", "windowModeDoesNotDependOnChunks");
        stream("has only a window", mode(PrefillMode.WINDOW), "streamingHeads");
        device("stores F32 instead of F16", storing(BlockFormat.F16, BlockFormat.F32), "retrievalHeads");
        device("stores BF16 instead of F16", storing(BlockFormat.F16, BlockFormat.BF16), "retrievalHeads");
        stream("cuts bfloat16 instead of rounding", this::cutKeysAndValues, "retrievalHeads");
        stream(
                "reports shifted positions",
                call -> {
                    Object result = call.proceed();
                    if (result instanceof SlotTable table) {
                        long[] positions = table.positions().clone();
                        for (int i = 0; i < positions.length; i++) {
                            positions[i]++;
                        }
                        return new SlotTable(positions, table.scores());
                    }
                    return result;
                },
                "retrievalHeadsDoNotDependOnChunks",
                "everyHeadKeepsItsOwnSlots");
        stream(
                "halves scores",
                call -> {
                    Object result = call.proceed();
                    if (result instanceof SlotTable table) {
                        float[] scores = table.scores().clone();
                        for (int i = 0; i < scores.length; i++) {
                            scores[i] /= 2;
                        }
                        return new SlotTable(table.positions(), scores);
                    }
                    return result;
                },
                "scoresSumTheProbabilities");
        stream(
                "compacts every head as the first",
                call -> {
                    if (call.is("compact")) {
                        List<int[]> keep = call.argument(1);
                        call.arguments[1] =
                                keep.stream().map(indices -> keep.get(0)).toList();
                    }
                    return call.proceed();
                },
                "everyHeadKeepsItsOwnSlots");
        stream(
                "takes back one token too few",
                call -> {
                    if (call.is("truncate") && call.<Long>argument(1) > 0) {
                        Slab slab = call.argument(0);
                        call.arguments[1] = Math.min(slab.length(), call.<Long>argument(1) + 1);
                    }
                    return call.proceed();
                },
                "retrievalHeadsGoBackToAnyLength",
                "streamingHeadsGoBackAfterEvictions");
        stream(
                "takes back what is gone",
                swallowing(IllegalArgumentException.class, "truncate"),
                "whatCannotBeTakenBackIsRefused");
        device(
                "has no undo margin",
                call -> {
                    if (call.is("allocate") && call.arguments[0] instanceof SlabSpec spec) {
                        call.arguments[0] = withUndo(spec, 0);
                    }
                    return call.proceed();
                },
                "streamingHeadsGoBackAfterEvictions");
        stream(
                "restores garbage",
                swallowing(IllegalArgumentException.class, "restore"),
                "whatIsNoSnapshotOfTheSpecIsRefused");
    }

    private void memoryAndLifecycle() {
        device(
                "lies about the bytes of slabs",
                call -> {
                    Object result = call.proceed();
                    return call.is("bytes") && call.arguments[0] instanceof SlabSpec ? (Long) result / 2 : result;
                },
                "bytesAreWhatIsAllocated");
        device("never gives memory back", new Leak(), "bytesAreWhatIsAllocated", "tensorBytesAreWhatIsAllocated");
        device(
                "has no capabilities to speak of",
                call -> call.is("capabilities") ? Set.of() : call.proceed(),
                "capabilitiesAreAllButTheUnsupported");
        device(
                "takes a description of two lines",
                call -> call.is("description") ? "a\nb" : call.proceed(),
                "theIdIsFitForAnOption");
        stream(
                "is usable from any thread",
                swallowing(WrongThreadException.class, "synchronize", "upload", "add", "slots", "close"),
                "anotherThreadIsRefused");
        stream(
                "accepts closed tensors",
                swallowing(IllegalStateException.class, "add", "linear", "append"),
                "closedTensorsAndSlabsAreRefused",
                "aClosedStreamRefusesEverything",
                "aClosedDeviceRefusesEverything");
        stream(
                "overfills slabs",
                swallowing(IllegalStateException.class, "append"),
                "moreThanTheLongestContextIsRefused",
                "aMissingEvictionIsNoticed");
        mutants.put(
                "accepts any option",
                new Mutant(Call::proceed, Call::proceed, true, List.of("unknownOptionsAreRefused")));
    }

    // Mutations

    private static Mutation swallowing(Class<? extends RuntimeException> type, String... methods) {
        return call -> {
            try {
                return call.proceed();
            } catch (RuntimeException e) {
                if (call.is(methods) && type.isInstance(e)) {
                    return null;
                }
                throw e;
            }
        };
    }

    private interface Retain {
        Retention apply(Retention.SinkAndRecent retention);
    }

    private static Mutation retaining(Retain change) {
        return call -> {
            if (call.is("allocate")
                    && call.arguments[0] instanceof SlabSpec spec
                    && spec.retention() instanceof Retention.SinkAndRecent retention) {
                call.arguments[0] = new SlabSpec(
                        spec.shape(),
                        spec.layer(),
                        spec.heads(),
                        spec.format(),
                        change.apply(retention),
                        spec.maxTokens(),
                        spec.maxChunk(),
                        spec.undo());
            }
            return call.proceed();
        };
    }

    private static Mutation storing(BlockFormat asked, BlockFormat stored) {
        return call -> {
            if (call.is("allocate")
                    && call.arguments[0] instanceof SlabSpec spec
                    && spec.format().equals(asked)) {
                call.arguments[0] = new SlabSpec(
                        spec.shape(),
                        spec.layer(),
                        spec.heads(),
                        stored,
                        spec.retention(),
                        spec.maxTokens(),
                        spec.maxChunk(),
                        spec.undo());
            }
            return call.proceed();
        };
    }

    private static SlabSpec withUndo(SlabSpec spec, int undo) {
        return new SlabSpec(
                spec.shape(),
                spec.layer(),
                spec.heads(),
                spec.format(),
                spec.retention(),
                spec.maxTokens(),
                spec.maxChunk(),
                undo);
    }

    private static Mutation mode(PrefillMode mode) {
        return call -> {
            if (call.is("attend", "attendAll")) {
                call.arguments[3] = mode;
            }
            return call.proceed();
        };
    }

    /** Query head h reads KV head h modulo the number of KV heads. */
    private Object interleavedGroups(Call call) throws Throwable {
        if (!call.is("attend")) {
            return call.proceed();
        }
        ModelShape shape = call.<Slab>argument(0).spec().shape();
        OpaqueTensor q = (OpaqueTensor) call.<Object>argument(1);
        OpaqueTensor out = (OpaqueTensor) call.<Object>argument(4);
        call.stream().synchronize();
        double[] before = q.read().clone();
        q.write(permuted(before, shape, true));
        Object result = call.proceed();
        call.stream().synchronize();
        q.write(before);
        out.write(permuted(out.read().clone(), shape, false));
        return result;
    }

    private static double[] permuted(double[] rows, ModelShape shape, boolean forward) {
        double[] moved = rows.clone();
        int dim = shape.headDim();
        for (int row = 0; row < rows.length; row += shape.queryWidth()) {
            for (int h = 0; h < shape.attentionHeads(); h++) {
                int grouped = h % shape.kvHeads() * shape.queryHeadsPerKvHead() + h / shape.kvHeads();
                int from = row + (forward ? h : grouped) * dim;
                int to = row + (forward ? grouped : h) * dim;
                System.arraycopy(rows, from, moved, to, dim);
            }
        }
        return moved;
    }

    private Object cutKeysAndValues(Call call) throws Throwable {
        if (!call.is("append") || !call.<Slab>argument(0).spec().format().equals(BlockFormat.BF16)) {
            return call.proceed();
        }
        call.stream().synchronize();
        OpaqueTensor k = (OpaqueTensor) call.<Object>argument(1);
        OpaqueTensor v = (OpaqueTensor) call.<Object>argument(2);
        double[][] before = {k.read().clone(), v.read().clone()};
        k.write(cut(before[0]));
        v.write(cut(before[1]));
        Object result = call.proceed();
        call.stream().synchronize();
        k.write(before[0]);
        v.write(before[1]);
        return result;
    }

    private static double[] cut(double[] numbers) {
        double[] out = new double[numbers.length];
        for (int i = 0; i < out.length; i++) {
            out[i] = Float.intBitsToFloat(Float.floatToRawIntBits((float) numbers[i]) & 0xffff0000);
        }
        return out;
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

    private static final class Leak implements Mutation {
        private long most;

        @Override
        public Object apply(Call call) throws Throwable {
            Object result = call.proceed();
            if (call.is("allocatedBytes")) {
                most = Math.max(most, (Long) result);
                return most;
            }
            return result;
        }
    }

    // The machinery

    /** The contract applied to the mutant that is tested at the moment. */
    @ExtendWith(StopAtFirstFailure.class)
    static class Subject extends AttentionBackendContract {
        private static Mutant current = NO_MUTANT;
        private static boolean failed;

        @Override
        protected AttentionBackend backend() {
            return mutated(current);
        }
    }

    /** One failure is enough. */
    static final class StopAtFirstFailure implements ExecutionCondition, AfterTestExecutionCallback {
        @Override
        public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
            return Subject.failed
                    ? ConditionEvaluationResult.disabled("the mutant was noticed")
                    : ConditionEvaluationResult.enabled("nothing was noticed yet");
        }

        @Override
        public void afterTestExecution(ExtensionContext context) {
            Subject.failed |= context.getExecutionException().isPresent();
        }
    }

    private static TestExecutionSummary run(Mutant mutant, Set<String> tests) {
        Subject.current = mutant;
        Subject.failed = false;
        PostDiscoveryFilter onlyTests = descriptor -> FilterResult.includedIf(descriptor
                .getSource()
                .map(source -> source instanceof MethodSource method && tests.contains(method.getMethodName()))
                .orElse(false));
        LauncherDiscoveryRequest request = LauncherDiscoveryRequestBuilder.request()
                .selectors(selectClass(Subject.class))
                .filters(onlyTests)
                .build();
        SummaryGeneratingListener listener = new SummaryGeneratingListener();
        LAUNCHER.execute(request, listener);
        return listener.getSummary();
    }

    private static AttentionBackend mutated(Mutant mutant) {
        OpaqueBackend backend = new OpaqueBackend();
        return new AttentionBackend() {
            @Override
            public String id() {
                return backend.id();
            }

            @Override
            public Probe probe(Requirements requirements) {
                return backend.probe(requirements);
            }

            @Override
            public Device open(Map<String, String> options) {
                Device device = backend.open(mutant.acceptsAnyOption() ? Map.of() : options);
                return proxy(Device.class, device, call -> {
                    Object result = mutant.device().apply(call);
                    return result instanceof ComputeStream stream
                            ? proxy(ComputeStream.class, stream, mutant.stream())
                            : result;
                });
            }
        };
    }

    private static <T> T proxy(Class<T> type, T target, Mutation mutation) {
        return type.cast(Proxy.newProxyInstance(
                type.getClassLoader(),
                new Class<?>[] {type},
                (proxy, method, arguments) -> mutation.apply(new Call(target, method, arguments))));
    }
}
