package org.duoattention.tck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.DeviceMemoryException;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.TensorSpec;
import org.junit.jupiter.api.Test;

/** Ownership, closing, threads and memory. */
abstract class LifecycleTopic extends BackendTopic {
    private static final TensorSpec SPEC = TensorSpec.of(DType.F32, 8, 8);

    @Test
    void everyCallIsValidToBeginWith() {
        EveryOperation operations = new EveryOperation(rig, subject);
        operations.calls.remove("restore");
        operations.calls.forEach((name, call) -> {
            if (!name.equals("append")) {
                call.accept(rig.stream);
            }
        });
        rig.stream.synchronize();
    }

    @Test
    void aClosedStreamRefusesEverything() {
        EveryOperation operations = new EveryOperation(rig, subject);
        ComputeStream stream = device.openStream();
        stream.close();
        stream.close();
        operations.calls.forEach((name, call) -> assertThatThrownBy(() -> call.accept(stream))
                .as("%s on a closed stream", name)
                .isInstanceOf(IllegalStateException.class));
    }

    @Test
    void anotherThreadIsRefused() throws Exception {
        EveryOperation operations = new EveryOperation(rig, subject);
        operations.calls.put("close", ComputeStream::close);
        Map<String, Object> outcomes = new java.util.LinkedHashMap<>();
        Thread thread = Thread.ofPlatform()
                .start(() -> operations.calls.forEach((name, call) -> {
                    try {
                        call.accept(rig.stream);
                        outcomes.put(name, "returned");
                    } catch (RuntimeException e) {
                        outcomes.put(name, e.getClass());
                    }
                }));
        thread.join();
        operations
                .calls
                .keySet()
                .forEach(name -> assertThat(outcomes.get(name))
                        .as("%s on another thread", name)
                        .isEqualTo(WrongThreadException.class));
        rig.stream.synchronize();
        assertThat(operations.slab.length()).isEqualTo(8);
    }

    @Test
    void closedTensorsAndSlabsAreRefused() {
        EveryOperation operations = new EveryOperation(rig, subject);
        Tensor view = operations.square.rows(1, 2);
        operations.square.close();
        operations.slab.close();
        operations.custom.close();
        operations.calls.remove("synchronize");
        operations.calls.forEach((name, call) -> assertThatThrownBy(() -> call.accept(rig.stream))
                .as("%s with a closed argument", name)
                .isInstanceOf(IllegalStateException.class));
        assertThatThrownBy(() -> operations.square.rows(0, 1)).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> view.rows(0, 1)).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> rig.stream.download(view, rig.arena.allocate(64, 4)))
                .as("download of a view whose owner is closed")
                .isInstanceOf(IllegalStateException.class);
    }

    @Test
    void closedOutputsAreRefused() {
        EveryOperation operations = new EveryOperation(rig, subject);
        operations.other.close();
        List<String> writing = new ArrayList<>(
                List.of("embed", "rmsNorm", "linear", "linears", "swiGlu", "add", "addRmsNorm", "attend", "attendAll"));
        operations.calls.keySet().stream()
                .filter(name -> name.startsWith("gradients.") && !name.endsWith("rope"))
                .forEach(writing::add);
        for (String name : writing) {
            assertThatThrownBy(() -> operations.calls.get(name).accept(rig.stream))
                    .as("%s into a closed tensor", name)
                    .isInstanceOf(IllegalStateException.class);
        }
    }

    @Test
    void aClosedDeviceRefusesEverything() throws Exception {
        Device second = subject.open();
        Rig own = new Rig(second);
        EveryOperation operations = new EveryOperation(own, subject);
        HostTensor host = new HostTensor(SPEC, rig.arena.allocate(SPEC.byteSize()));
        second.close();
        second.close();
        operations.calls.forEach((name, call) -> assertThatThrownBy(() -> call.accept(own.stream))
                .as("%s on a closed device", name)
                .isInstanceOf(IllegalStateException.class));
        assertThatThrownBy(() -> second.allocate(SPEC)).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> second.allocate(EveryOperation.spec(new Retention.All())))
                .isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> second.adopt(host)).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(second::openStream).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(second::allocatedBytes).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> operations.other.rows(0, 1)).isInstanceOf(IllegalStateException.class);
        own.close();
    }

    @Test
    void devicesAreSeparate() throws Exception {
        try (Device second = subject.open();
                Tensor foreign = second.allocate(SPEC);
                Slab foreignSlab = second.allocate(EveryOperation.spec(new Retention.All()))) {
            Tensor mine = rig.zeros(DType.F32, 8, 8);
            assertThatThrownBy(() -> rig.stream.add(mine, foreign)).isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> rig.stream.add(foreign, mine)).isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> rig.stream.append(foreignSlab, mine, mine))
                    .isInstanceOf(IllegalArgumentException.class);
            assertThat(foreignSlab.length()).isZero();
        }
        rig.stream.synchronize();
    }

    @Test
    void tensorBytesAreWhatIsAllocated() {
        for (DType dtype : List.of(DType.F32, DType.F16, DType.BF16)) {
            for (long rows : new long[] {1, 7, 129}) {
                TensorSpec spec = TensorSpec.of(dtype, rows, 13);
                long before = device.allocatedBytes();
                long available = device.availableBytes();
                assertThat(available).isPositive();
                try (Tensor tensor = device.allocate(spec)) {
                    assertThat(tensor.spec()).isEqualTo(spec);
                    assertThat(device.bytes(spec)).isGreaterThanOrEqualTo(spec.byteSize());
                    assertThat(device.allocatedBytes() - before)
                            .as("allocated for %s", spec)
                            .isEqualTo(device.bytes(spec));
                    tensor.rows(0, 1).close();
                    assertThat(device.allocatedBytes() - before)
                            .as("after a view was closed")
                            .isEqualTo(device.bytes(spec));
                }
                assertThat(device.allocatedBytes()).as("after close").isEqualTo(before);
            }
        }
    }

    @Test
    void aTensorThatCannotFitIsRefusedBeforeAnythingIsAllocated() {
        long before = device.allocatedBytes();
        assertThatThrownBy(() -> rig.closing(device.allocate(TensorSpec.of(DType.F32, 1L << 24, 1L << 24))))
                .isInstanceOfSatisfying(DeviceMemoryException.class, e -> {
                    assertThat(e.requestedBytes()).isGreaterThanOrEqualTo(1L << 50);
                    assertThat(e.availableBytes()).isBetween(0L, (1L << 50) - 1);
                });
        assertThat(device.allocatedBytes()).isEqualTo(before);
    }

    @Test
    void allocationIsThreadSafe() throws Exception {
        long before = device.allocatedBytes();
        AtomicReference<Throwable> failure = new AtomicReference<>();
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            threads.add(Thread.ofPlatform().start(() -> {
                try {
                    for (int j = 0; j < 100; j++) {
                        try (Tensor tensor = device.allocate(SPEC);
                                Slab slab = device.allocate(EveryOperation.spec(new Retention.All()))) {
                            assertThat(tensor.spec()).isEqualTo(SPEC);
                            assertThat(slab.length()).isZero();
                        }
                    }
                } catch (Exception | AssertionError e) {
                    failure.set(e);
                }
            }));
        }
        for (Thread thread : threads) {
            thread.join();
        }
        assertThat(failure.get()).isNull();
        assertThat(device.allocatedBytes()).isEqualTo(before);
    }

    @Test
    void streamsOfSeveralThreadsWorkSideBySide() throws Exception {
        AtomicReference<Throwable> failure = new AtomicReference<>();
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            threads.add(Thread.ofPlatform().start(() -> {
                try (Rig own = new Rig(device)) {
                    double[] x = own.random(DType.F32, 64, 1);
                    Rig.Guarded sum = own.guarded(x, 8, 8);
                    for (int j = 0; j < 20; j++) {
                        own.stream.add(sum.rows(), own.activation(x, 8, 8));
                    }
                    double[] total = new double[64];
                    for (int j = 0; j < 64; j++) {
                        total[j] = 21 * x[j];
                    }
                    double[] actual = sum.numbers("a stream among three");
                    for (int j = 0; j < 64; j++) {
                        assertThat(Math.abs(actual[j] - total[j])).isLessThan(1e-4);
                    }
                } catch (Exception | AssertionError e) {
                    failure.set(e);
                }
            }));
        }
        for (Thread thread : threads) {
            thread.join();
        }
        assertThat(failure.get()).isNull();
    }

    @Test
    void onlyKnownTypesAreAllocated() {
        for (DType dtype : Set.of(DType.F32, DType.F16, DType.BF16)) {
            assertThat(rig.zeros(dtype, 3).spec()).isEqualTo(TensorSpec.of(dtype, 3));
        }
    }
}
