package org.duoattention.tck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Gradients;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Projection;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.TensorSpec;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** The decorator lets good callers pass and stops bad ones. */
class AssertingDeviceTest {
    private static final TensorSpec SPEC = TensorSpec.of(DType.F32, 8, 8);

    /** What a misuse has at hand. */
    private static final class Bench implements AutoCloseable {
        final AssertingDevice device = new AssertingDevice(new OpaqueBackend().openOpaque());
        final AssertingDevice other = new AssertingDevice(new OpaqueBackend().openOpaque());
        final ComputeStream stream = device.openStream();
        final Arena arena = Arena.ofConfined();
        final Tensor a = device.allocate(SPEC);
        final Tensor b = device.allocate(SPEC);
        final Tensor tall = device.allocate(TensorSpec.of(DType.F32, 9, 8));
        final Tensor vector = device.allocate(TensorSpec.of(DType.F32, 8));
        final Tensor weight = device.adopt(new HostTensor(SPEC, arena.allocate(SPEC.byteSize())));
        final Slab slab = device.allocate(EveryOperation.spec(new Retention.SinkAndRecent(1, 2)));
        final Slab full = device.allocate(EveryOperation.spec(new Retention.All()));

        @Override
        public void close() {
            for (AutoCloseable resource : List.<AutoCloseable>of(a, b, tall, vector, weight, slab, full)) {
                try {
                    resource.close();
                } catch (Exception e) {
                    throw new AssertionError(e);
                }
            }
            stream.close();
            device.close();
            other.close();
            arena.close();
        }
    }

    @Test
    void goodCallersPass() {
        Bench bench = new Bench();
        MemorySegment host = bench.arena.allocate(SPEC.byteSize(), 4);
        bench.stream.upload(host, bench.a);
        bench.stream.rmsNorm(bench.a, bench.vector, 1e-5f, bench.a);
        bench.stream.linear(bench.a, new Projection(bench.weight, Optional.of(bench.vector), bench.b));
        bench.stream.linears(bench.a, List.of(new Projection(bench.weight, Optional.empty(), bench.b)));
        bench.stream.rope(bench.b, 8, new Rope(new double[] {1}, 1), 3);
        bench.stream.swiGlu(bench.a, bench.b, bench.b);
        bench.stream.add(bench.a, bench.b);
        bench.stream.addRmsNorm(bench.a, bench.b, bench.vector, 1e-5f, bench.tall.rows(0, 8));
        for (int i = 0; i < 3; i++) {
            bench.stream.append(bench.slab, bench.a, bench.b);
            bench.stream.attendAll(List.of(bench.slab), bench.a, 1, PrefillMode.UPSTREAM, bench.b);
            bench.stream.evict(bench.slab);
        }
        bench.stream.gradients().rope(bench.b, 8, new Rope(new double[] {1}, 1), 3);
        bench.stream.gradients().blend(bench.a, bench.b, new float[] {1}, bench.b);
        bench.stream.slots(bench.slab, 0);
        bench.stream.truncate(bench.slab, bench.slab.minLength());
        MemorySegment snapshot = bench.arena.allocate(bench.stream.saveBytes(bench.slab));
        bench.stream.save(bench.slab, snapshot);
        bench.stream.synchronize();
        bench.stream.restore(bench.slab, snapshot);
        bench.close();
        assertThatCode(bench.device::assertClosed).doesNotThrowAnyException();
    }

    @TestFactory
    Stream<DynamicTest> misuses() {
        Map<String, Consumer<Bench>> misuses = new LinkedHashMap<>();
        misuses.put("a tensor of another device", bench -> bench.stream.add(bench.a, bench.other.allocate(SPEC)));
        misuses.put(
                "a slab of another device",
                bench -> bench.stream.evict(bench.other.allocate(EveryOperation.spec(new Retention.All()))));
        misuses.put("a closed tensor", bench -> {
            bench.b.close();
            bench.stream.add(bench.a, bench.b);
        });
        misuses.put("a view of a closed tensor", bench -> {
            Tensor view = bench.b.rows(0, 8);
            bench.b.close();
            bench.stream.add(bench.a, view);
        });
        misuses.put("a closed slab", bench -> {
            bench.slab.close();
            bench.stream.evict(bench.slab);
        });
        misuses.put("adopted memory that is gone", bench -> {
            try (Arena arena = Arena.ofConfined()) {
                HostTensor host = new HostTensor(SPEC, arena.allocate(SPEC.byteSize()));
                bench.device.adopt(host);
                arena.close();
                bench.device.adopt(host);
            }
        });
        misuses.put("another thread", bench -> {
            AssertionError[] error = new AssertionError[1];
            Thread thread = Thread.ofPlatform().start(() -> {
                try {
                    bench.stream.synchronize();
                } catch (AssertionError e) {
                    error[0] = e;
                }
            });
            try {
                thread.join();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
            throw error[0];
        });
        misuses.put("a wrong shape", bench -> bench.stream.add(bench.a, bench.tall));
        misuses.put("a wrong transfer", bench -> bench.stream.upload(bench.arena.allocate(255), bench.a));
        misuses.put("an adopted output", bench -> bench.stream.add(bench.weight, bench.a));
        misuses.put(
                "an output over its input",
                bench -> bench.stream.linear(bench.a, new Projection(bench.weight, Optional.empty(), bench.a)));
        misuses.put(
                "an output shifted against its input",
                bench -> bench.stream.rmsNorm(bench.tall.rows(0, 8), bench.vector, 1e-5f, bench.tall.rows(1, 8)));
        misuses.put(
                "a gradient over its layer's",
                bench -> bench.stream
                        .gradients()
                        .linears(List.of(new Gradients.LinearOutput(bench.a, bench.weight)), bench.a));
        misuses.put(
                "a gradient of another shape",
                bench -> bench.stream.gradients().blend(bench.a, bench.b, new float[3], bench.b));
        misuses.put(
                "an adopted gradient",
                bench -> bench.stream.gradients().rope(bench.weight, 8, new Rope(new double[] {1}, 1), 3));
        misuses.put("a gradient by a closed weight", bench -> {
            bench.weight.close();
            bench.stream.gradients().linears(List.of(new Gradients.LinearOutput(bench.a, bench.weight)), bench.b);
        });
        misuses.put("attention over its queries", bench -> {
            bench.stream.append(bench.full, bench.a, bench.b);
            bench.stream.attend(bench.full, bench.a, 1, PrefillMode.UPSTREAM, bench.a);
        });
        misuses.put(
                "attend without append",
                bench -> bench.stream.attend(bench.full, bench.a, 1, PrefillMode.UPSTREAM, bench.b));
        misuses.put("attend after evict", bench -> {
            bench.stream.append(bench.slab, bench.a, bench.b);
            bench.stream.evict(bench.slab);
            bench.stream.attend(bench.slab, bench.a, 1, PrefillMode.UPSTREAM, bench.b);
        });
        misuses.put("attend with fewer rows", bench -> {
            bench.stream.append(bench.slab, bench.a, bench.b);
            bench.stream.attend(bench.slab, bench.a.rows(0, 7), 1, PrefillMode.UPSTREAM, bench.b.rows(0, 7));
        });
        misuses.put("a missing eviction", bench -> {
            bench.stream.append(bench.slab, bench.a, bench.b);
            bench.stream.append(bench.slab, bench.a.rows(0, 1), bench.b.rows(0, 1));
        });
        misuses.put("a head that is not there", bench -> bench.stream.slots(bench.slab, 1));
        misuses.put("attendAll with a head twice", bench -> {
            bench.stream.append(bench.slab, bench.a, bench.b);
            bench.stream.append(bench.full, bench.a, bench.b);
            bench.stream.attendAll(List.of(bench.slab, bench.full), bench.a, 1, PrefillMode.UPSTREAM, bench.b);
        });
        misuses.put("a download target that dies early", bench -> {
            try (Arena arena = Arena.ofConfined()) {
                bench.stream.download(bench.a, arena.allocate(SPEC.byteSize(), 4));
            }
            bench.stream.synchronize();
        });
        return misuses.entrySet().stream()
                .map(misuse -> DynamicTest.dynamicTest(misuse.getKey(), () -> {
                    Bench bench = new Bench();
                    assertThatThrownBy(() -> misuse.getValue().accept(bench))
                            .isInstanceOf(AssertionError.class)
                            .hasMessageStartingWith("expected: ");
                    bench.device.close();
                    assertThatThrownBy(bench.device::assertClosed)
                            .as("the error is remembered")
                            .isInstanceOf(AssertionError.class)
                            .hasMessageContaining("the contract was broken");
                }));
    }

    @Test
    void downloadsHoldNaNUntilSynchronize() {
        Bench bench = new Bench();
        MemorySegment host = bench.arena.allocate(SPEC.byteSize(), 4);
        bench.stream.download(bench.a, host);
        bench.stream.slots(bench.slab, 0);
        assertThat(HostNumbers.get(DType.F32, host, 0)).isNaN();
        bench.stream.synchronize();
        assertThat(HostNumbers.get(DType.F32, host, 0)).isZero();
        bench.close();
    }

    @Test
    void whatIsLeftOpenIsNamed() {
        AssertingBackend backend = new AssertingBackend(new OpaqueBackend());
        var device = backend.open(Map.of());
        device.allocate(SPEC);
        assertThatThrownBy(backend::assertClosed).hasMessageContaining("not closed");
        device.close();
        assertThatThrownBy(backend::assertClosed).hasMessageContaining(SPEC.toString());
        assertThat(Set.of(backend.id())).containsExactly("opaque");
    }
}
