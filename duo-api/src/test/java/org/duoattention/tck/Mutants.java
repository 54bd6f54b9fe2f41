package org.duoattention.tck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.platform.engine.discovery.DiscoverySelectors.selectClass;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Gradients;
import org.duoattention.api.backend.Probe;
import org.duoattention.api.backend.Requirements;
import org.junit.jupiter.api.DynamicTest;
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
abstract class Mutants {
    /** A call on its way to a device, a stream or the backward operations of the opaque backend. */
    static final class Call {
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
            return target instanceof OpaqueGradients gradients ? gradients.stream() : (ComputeStream) target;
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

    /** What is wrong with a device, a stream or backward operations. */
    @FunctionalInterface
    interface Mutation {
        Object apply(Call call) throws Throwable;
    }

    record Mutant(Mutation device, Mutation stream, Mutation gradients, boolean acceptsAnyOption, List<String> tests) {}

    private static final Launcher LAUNCHER = LauncherFactory.create();
    static final Mutant NO_MUTANT = new Mutant(Call::proceed, Call::proceed, Call::proceed, false, List.of());

    private final Map<String, Mutant> mutants = new LinkedHashMap<>();

    /** Adds the mutants of this topic. */
    abstract void define();

    /** A device that is wrong, and the tests that must notice, each on its own. */
    void device(String name, Mutation mutation, String... tests) {
        add(name, new Mutant(mutation, Call::proceed, Call::proceed, false, List.of(tests)));
    }

    /** A stream that is wrong, and the tests that must notice, each on its own. */
    void stream(String name, Mutation mutation, String... tests) {
        add(name, new Mutant(Call::proceed, mutation, Call::proceed, false, List.of(tests)));
    }

    /** Backward operations that are wrong, and the tests that must notice, each on its own. */
    void gradients(String name, Mutation mutation, String... tests) {
        add(name, new Mutant(Call::proceed, Call::proceed, mutation, false, List.of(tests)));
    }

    void add(String name, Mutant mutant) {
        mutants.put(name, mutant);
    }

    @TestFactory
    Stream<DynamicTest> everyMutantIsNoticed() {
        define();
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

    /** Does nothing where an exception of a type is due. */
    static Mutation swallowing(Class<? extends RuntimeException> type, String... methods) {
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

    static TestExecutionSummary run(Mutant mutant, Set<String> tests) {
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
                            ? proxy(ComputeStream.class, stream, withGradients(mutant))
                            : result;
                });
            }
        };
    }

    /** The mutation of streams, whose backward operations are mutated too: one object per stream. */
    private static Mutation withGradients(Mutant mutant) {
        Map<Object, Gradients> known = new IdentityHashMap<>();
        return call -> {
            Object result = mutant.stream().apply(call);
            return result instanceof Gradients gradients
                    ? known.computeIfAbsent(gradients, g -> proxy(Gradients.class, gradients, mutant.gradients()))
                    : result;
        };
    }

    private static <T> T proxy(Class<T> type, T target, Mutation mutation) {
        return type.cast(Proxy.newProxyInstance(
                type.getClassLoader(),
                new Class<?>[] {type},
                (proxy, method, arguments) -> mutation.apply(new Call(target, method, arguments))));
    }
}
