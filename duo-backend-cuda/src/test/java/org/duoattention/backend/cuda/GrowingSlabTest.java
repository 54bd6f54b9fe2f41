package org.duoattention.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.DeviceMemoryException;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.backend.cuda.driver.CudaException;
import org.duoattention.backend.cuda.driver.DeviceMemory;
import org.duoattention.backend.cuda.driver.GrowingBlock;
import org.duoattention.backend.cuda.kernel.DirectoryImages;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.Isolated;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Slabs whose memory grows with them, on the emulated driver with pages of 4 KiB, beside slabs that have their memory from the
 * beginning. Alone, because the emulated device is one for all.
 */
@Isolated
class GrowingSlabTest {
    private static final long PAGE = 4096;
    private static final long LARGE_PAGE = 2 << 20;
    private static final ModelShape SHAPE = new ModelShape(1, 16, 8, 4, 64, 16, 16);
    private static final BlockFormat INT8 = new BlockFormat.Grouped(8, 64, true, DType.F16);
    private static final BlockFormat INT4 = new BlockFormat.Grouped(4, 32, true, DType.F16);
    private static final int CAPACITY = 3000;
    private static final int CHUNK = 100;

    @AfterEach
    void reset() {
        EmulatedDriver.setGranularity(LARGE_PAGE);
        EmulatedDriver.othersTake(0);
        EmulatedDriver.limitCreations(-1);
        EmulatedDriver.forgetFailure();
    }

    static Stream<BlockFormat> formats() {
        return Stream.of(BlockFormat.F32, BlockFormat.F16, INT8, INT4);
    }

    private static CudaDevice device(long page) {
        EmulatedDriver.setGranularity(page);
        return (CudaDevice)
                new CudaBackend(EmulatedDriver.library().toString(), new DirectoryImages(EmulatedDriver.kernels()))
                        .open(Map.of("libraries", "none"));
    }

    private static SlabSpec spec(BlockFormat format, int capacity) {
        return new SlabSpec(SHAPE, 0, HeadSet.range(4), format, new Retention.All(), capacity, CHUNK, 0);
    }

    /** A stream with a slab and the tensors of its steps; made-up numbers that depend on position alone. */
    private static final class Rig implements AutoCloseable {
        final CudaDevice device;
        final ComputeStream stream;
        final CudaSlab slab;
        final Arena arena = Arena.ofConfined();

        Rig(CudaDevice device, SlabSpec spec) {
            this.device = device;
            this.stream = device.openStream();
            this.slab = (CudaSlab) device.allocate(spec);
        }

        long mapped() {
            return slab.memory().mappedBytes();
        }

        /** Appends tokens and attends to all. */
        float[] step(int tokens) {
            try (Tensor k = numbers(1, tokens, SHAPE.kvWidth());
                    Tensor v = numbers(2, tokens, SHAPE.kvWidth());
                    Tensor q = numbers(3, tokens, SHAPE.queryWidth());
                    Tensor out = device.allocate(TensorSpec.of(DType.F32, tokens, SHAPE.queryWidth()))) {
                stream.append(slab, k, v);
                stream.attend(slab, q, 0.3f, PrefillMode.UPSTREAM, out);
                float[] result = new float[tokens * SHAPE.queryWidth()];
                stream.download(out, MemorySegment.ofArray(result));
                stream.synchronize();
                return result;
            }
        }

        private Tensor numbers(int kind, int tokens, int width) {
            float[] numbers = new float[tokens * width];
            for (int t = 0; t < tokens; t++) {
                SplittableRandom random = new SplittableRandom(31 * (slab.length() + t) + kind);
                for (int d = 0; d < width; d++) {
                    numbers[t * width + d] = (float) random.nextDouble(-1, 1);
                }
            }
            Tensor tensor = device.allocate(TensorSpec.of(DType.F32, tokens, width));
            stream.upload(MemorySegment.ofArray(numbers), tensor);
            return tensor;
        }

        /** Feeds chunks, and single tokens after each. */
        List<float[]> run(int length) {
            List<float[]> results = new ArrayList<>();
            while (slab.length() < length) {
                results.add(step(CHUNK - 3));
                for (int i = 0; i < 3; i++) {
                    results.add(step(1));
                }
            }
            return results;
        }

        @Override
        public void close() {
            slab.close();
            stream.close();
            device.close();
            arena.close();
        }
    }

    /** What keys and values of so many tokens take. */
    private static long bytes(BlockFormat format, long tokens) {
        return tokens * SHAPE.kvHeads() * 2 * format.rowBytes(SHAPE.headDim());
    }

    @ParameterizedTest
    @MethodSource("formats")
    void aSlabThatGrowsGivesWhatAWholeOneGives(BlockFormat format) {
        List<float[]> expected;
        try (Rig whole = new Rig(device(LARGE_PAGE), spec(format, CAPACITY))) {
            assertThat(whole.slab.memory().taken()).isInstanceOf(DeviceMemory.Block.class);
            expected = whole.run(600);
        }
        try (Rig rig = new Rig(device(PAGE), spec(format, CAPACITY))) {
            assertThat(rig.slab.memory().taken()).isInstanceOf(GrowingBlock.class);
            long address = rig.slab.address();
            assertThat(rig.mapped()).isZero();
            List<float[]> actual = new ArrayList<>();
            int grew = 0;
            int areas = SHAPE.kvHeads() * (format instanceof BlockFormat.Grouped ? 4 : 2);
            while (rig.slab.length() < 600) {
                long creations = EmulatedDriver.creations();
                actual.addAll(rig.run((int) rig.slab.length() + 1));
                grew += EmulatedDriver.creations() > creations ? 1 : 0;
                assertThat(rig.mapped())
                        .as("mapped for %d tokens", rig.slab.length())
                        .isBetween(
                                bytes(format, rig.slab.length()),
                                bytes(format, rig.slab.length()) * 17 / 16 + 2 * areas * PAGE);
            }
            assertThat(rig.slab.address()).isEqualTo(address);
            assertThat(grew).isGreaterThan(2);
            assertThat(actual).usingRecursiveComparison().isEqualTo(expected);
        }
    }

    @Test
    void aStepThatGrowsIsTheGraphOfTheOthers() {
        try (Rig rig = new Rig(device(PAGE), spec(BlockFormat.F16, CAPACITY));
                Tensor k = rig.device.allocate(TensorSpec.of(DType.F32, 1, SHAPE.kvWidth()));
                Tensor q = rig.device.allocate(TensorSpec.of(DType.F32, 1, SHAPE.queryWidth()));
                Tensor out = rig.device.allocate(TensorSpec.of(DType.F32, 1, SHAPE.queryWidth()))) {
            int grew = 0;
            for (int i = 0; i < 300; i++) {
                long graphs = EmulatedDriver.graphLaunches();
                long creations = EmulatedDriver.creations();
                rig.stream.append(rig.slab, k, k);
                rig.stream.attendAll(List.of(rig.slab), q, 1, PrefillMode.UPSTREAM, out);
                // What is queued for the step before may not have been done: nothing waits for it.
                if (i % 2 == 1) {
                    rig.stream.synchronize();
                }
                if (i > 4) {
                    assertThat(EmulatedDriver.graphLaunches() - graphs)
                            .as("graphs of step %d", i)
                            .isEqualTo(i % 2);
                    grew += EmulatedDriver.creations() > creations ? 1 : 0;
                }
            }
            assertThat(grew).isBetween(4, 60);
        }
    }

    @Test
    void memoryIsCountedWhenItIsPromisedAndAllOfItIsTakenInTheEnd() {
        for (BlockFormat format : formats().toList()) {
            try (Rig rig = new Rig(device(PAGE), spec(format, 1000))) {
                long before = rig.device.allocatedBytes() - rig.slab.bytes();
                long available = rig.device.availableBytes();
                assertThat(rig.device.bytes(rig.slab.spec()))
                        .isEqualTo(rig.slab.bytes())
                        .isBetween(bytes(format, 1000), bytes(format, 1000) + PAGE + 256 * 16);
                rig.device.reserve(List.of(rig.slab), 100);
                assertThat(rig.mapped()).isLessThan(rig.slab.bytes());
                assertThat(rig.device.availableBytes()).isEqualTo(available);
                rig.device.reserve(List.of(rig.slab), Long.MAX_VALUE);
                assertThat(rig.mapped()).isEqualTo(rig.slab.bytes());
                assertThat(rig.device.availableBytes()).isEqualTo(available);
                rig.slab.close();
                assertThat(rig.device.allocatedBytes()).isEqualTo(before);
            }
        }
    }

    @Test
    void aFullSlabOfLargePagesTakesWhatWasPlanned() {
        long used = EmulatedDriver.usedBytes();
        long addresses = EmulatedDriver.reservedBytes();
        try (Rig rig = new Rig(device(LARGE_PAGE), spec(INT8, 300_001))) {
            long before = EmulatedDriver.usedBytes();
            assertThat(rig.slab.bytes() % LARGE_PAGE).isZero();
            rig.device.reserve(List.of(rig.slab), 1);
            // Key and value codes and scales of four heads; scales of two heads may meet in a page.
            assertThat(rig.mapped()).isBetween(12 * LARGE_PAGE, 18 * LARGE_PAGE);
            rig.device.reserve(List.of(rig.slab), 300_001);
            assertThat(rig.mapped()).isEqualTo(rig.device.bytes(rig.slab.spec()));
            assertThat(EmulatedDriver.usedBytes() - before).isEqualTo(rig.slab.bytes());
            rig.slab.close();
            assertThat(EmulatedDriver.usedBytes()).isEqualTo(before);
        }
        assertThat(EmulatedDriver.usedBytes()).isEqualTo(used);
        assertThat(EmulatedDriver.reservedBytes()).isEqualTo(addresses);
    }

    @Test
    void smallSlabsAndOtherRetentionsLieInThePool() {
        try (CudaDevice device = device(PAGE)) {
            for (SlabSpec spec : List.of(
                    spec(BlockFormat.F16, 100),
                    new SlabSpec(
                            SHAPE,
                            0,
                            HeadSet.range(4),
                            BlockFormat.F16,
                            new Retention.SinkAndRecent(16, 2000),
                            CAPACITY,
                            CHUNK,
                            0))) {
                try (Slab slab = device.allocate(spec)) {
                    assertThat(((CudaSlab) slab).memory().taken()).isInstanceOf(DeviceMemory.Block.class);
                    assertThat(slab.bytes()).isEqualTo(device.bytes(spec));
                    device.reserve(List.of(slab), Long.MAX_VALUE);
                }
            }
        }
    }

    @Test
    void aRefusalToGrowChangesNothing() {
        List<float[]> expected;
        try (Rig whole = new Rig(device(LARGE_PAGE), spec(BlockFormat.F16, CAPACITY))) {
            expected = whole.run(600);
        }
        try (Rig rig = new Rig(device(PAGE), spec(BlockFormat.F16, CAPACITY));
                CudaSlab other = (CudaSlab) rig.device.allocate(spec(BlockFormat.F16, CAPACITY));
                Tensor k = rig.device.allocate(TensorSpec.of(DType.F32, CHUNK, SHAPE.kvWidth()))) {
            List<float[]> actual = new ArrayList<>(rig.run(300));
            long mapped = EmulatedDriver.mappedBytes();
            EmulatedDriver.othersTake(rig.device.context().freeBytes());
            assertThatThrownBy(() -> {
                        while (true) {
                            rig.stream.append(rig.slab, k, k);
                            rig.stream.truncate(rig.slab, 300);
                            rig.device.reserve(List.of(rig.slab), 200);
                        }
                    })
                    .isInstanceOf(DeviceMemoryException.class)
                    .hasMessageMatching("a cache of [12]00 more tokens needs [1-9]\\d* bytes, 0 are available");
            assertThat(rig.slab.length()).isEqualTo(300);
            EmulatedDriver.othersTake(0);
            for (int creations : new int[] {0, 1, 5, 9, 17}) {
                EmulatedDriver.limitCreations(creations);
                assertThatThrownBy(() -> rig.device.reserve(List.of(rig.slab, other), 400))
                        .isInstanceOf(DeviceMemoryException.class);
                assertThat(EmulatedDriver.mappedBytes()).isEqualTo(mapped);
                assertThat(other.memory().mappedBytes()).isZero();
            }
            EmulatedDriver.limitCreations(-1);
            rig.device.reserve(List.of(rig.slab, other), 400);
            assertThat(other.memory().mappedBytes()).isGreaterThanOrEqualTo(bytes(BlockFormat.F16, 400));
            actual.addAll(rig.run(600));
            assertThat(actual).usingRecursiveComparison().isEqualTo(expected);
        }
    }

    @Test
    void whatARollbackLeavesUnusedIsGivenBack() {
        try (Rig rig = new Rig(device(PAGE), spec(BlockFormat.F16, CAPACITY))) {
            List<float[]> first = rig.run(200);
            List<float[]> second = rig.run(1000);
            long full = rig.mapped();
            long used = EmulatedDriver.usedBytes();
            rig.stream.truncate(rig.slab, rig.slab.length() - 5);
            assertThat(rig.mapped()).as("after a few tokens").isEqualTo(full);

            rig.stream.truncate(rig.slab, 200);

            // A mapping is given back as a whole, and is at most a quarter of what lies before it.
            assertThat(rig.mapped()).isBetween(bytes(BlockFormat.F16, 200), bytes(BlockFormat.F16, 300) + 16 * PAGE);
            assertThat(EmulatedDriver.usedBytes()).isEqualTo(used - full + rig.mapped());
            assertThat(rig.run(1000)).usingRecursiveComparison().isEqualTo(second);
            rig.stream.truncate(rig.slab, 0);
            assertThat(rig.mapped()).isZero();
            assertThat(rig.run(200)).usingRecursiveComparison().isEqualTo(first);
        }
    }

    @Test
    void aSavedSlabIsRestoredIntoOneThatHasNoMemoryYet() {
        try (Rig rig = new Rig(device(PAGE), spec(BlockFormat.F16, CAPACITY))) {
            rig.run(500);
            MemorySegment saved = rig.arena.allocate(rig.stream.saveBytes(rig.slab));
            rig.stream.save(rig.slab, saved);
            rig.stream.synchronize();
            float[] next = rig.step(1);
            rig.stream.truncate(rig.slab, 0);
            assertThat(rig.mapped()).isZero();

            EmulatedDriver.limitCreations(3);
            assertThatThrownBy(() -> rig.stream.restore(rig.slab, saved)).isInstanceOf(DeviceMemoryException.class);
            assertThat(rig.slab.length()).isZero();
            assertThat(rig.mapped()).isZero();
            EmulatedDriver.limitCreations(-1);
            rig.stream.restore(rig.slab, saved);

            assertThat(rig.step(1)).isEqualTo(next);
        }
    }

    @Test
    void anAddressWithoutMemoryIsAFault() {
        CudaDevice device = device(PAGE);
        GrowingBlock block = device.memory().allocateGrowing("a cache", 10 * PAGE);
        List<DeviceMemory.Need> first =
                List.of(new DeviceMemory.Need(block, List.of(new GrowingBlock.Extent(0, PAGE))));
        device.memory().map("a cache", first, first);
        Kernel kernel = device.kernels().get("races", "with_barrier");
        try (Launches launches = new Launches(device.context(), device.memory())) {
            launches.launch(kernel, 1, 1, 1, 64, 512, block.address() + PAGE - 256);
            launches.finish();
            launches.launch(kernel, 1, 1, 1, 64, 512, block.address() + PAGE - 252);
            assertThatThrownBy(launches::finish)
                    .isInstanceOfSatisfying(
                            CudaException.class, e -> assertThat(e.code()).isEqualTo(700));
            EmulatedDriver.forgetFailure();
        }
        device.memory().free(block);
        device.close();
    }
}
