package org.duoattention.backend.cpu.memory;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import org.duoattention.api.backend.DeviceMemoryException;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.cache.ScoreSpec;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.backend.cpu.kernel.RowLayout;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.Isolated;

@Isolated("it looks at the whole process")
class DeviceMemoryTest {
    private static final ModelShape SHAPE = new ModelShape(2, 64, 4, 2, 16, 64, 100);

    private static DeviceMemory memory(long limit) {
        return new DeviceMemory(() -> limit, new RowLayout());
    }

    private static SlabSpec slab(BlockFormat format, Retention retention, long maxTokens) {
        return new SlabSpec(SHAPE, 1, HeadSet.range(2), format, retention, maxTokens, 8, 4);
    }

    @Test
    void slabBytesAreTheRowsOfTheirSlots() {
        try (DeviceMemory memory = memory(1 << 20)) {
            // 2 heads x (keys + values) x slots x 16 elements; parts that are multiples of 64 bytes need no padding
            assertThat(memory.bytes(slab(BlockFormat.F32, new Retention.All(), 100)))
                    .isEqualTo(2 * 2 * 100 * 16 * 4);
            // 3 + 5 + undo 4 + chunk 8 = 20 slots
            assertThat(memory.bytes(slab(BlockFormat.BF16, new Retention.SinkAndRecent(3, 5), 1_000_000_000_000L)))
                    .isEqualTo(2 * 2 * 20 * 16 * 2);
            // budget 24 + chunk 8 = 32 slots, with a position of 8 and a score of 4 bytes per head and slot
            Retention scored = new Retention.TopScored(24, 1, 1, new ScoreSpec(1, true, false));
            assertThat(memory.bytes(slab(BlockFormat.F16, scored, 1000)))
                    .isEqualTo(2 * 2 * 32 * 16 * 2 + 2 * 32 * 8 + 2 * 32 * 4);
            Retention custom = new Retention.Custom(24, Optional.empty(), (slots, budget) -> new int[0]);
            assertThat(memory.bytes(slab(BlockFormat.F16, custom, 1000))).isEqualTo(2 * 2 * 32 * 16 * 2 + 2 * 32 * 8);
        }
    }

    @Test
    void accountsForEveryByteAndGivesThemBack() {
        try (DeviceMemory memory = memory(1 << 20)) {
            SlabSpec spec = slab(BlockFormat.F16, new Retention.SinkAndRecent(3, 5), 1000);
            CpuTensor tensor = memory.allocate(TensorSpec.of(DType.F32, 3, 5));
            CpuSlab slab = memory.allocate(spec);
            assertThat(slab.bytes()).isEqualTo(memory.bytes(spec));
            assertThat(memory.allocatedBytes()).isEqualTo(60 + memory.bytes(spec));
            assertThat(memory.availableBytes()).isEqualTo((1 << 20) - memory.allocatedBytes());
            tensor.close();
            tensor.close();
            slab.close();
            slab.close();
            assertThat(memory.allocatedBytes()).isZero();
        }
    }

    @Test
    void refusesWhatDoesNotFitBeforeAllocating() {
        try (DeviceMemory memory = memory(1000)) {
            CpuTensor first = memory.allocate(TensorSpec.of(DType.F32, 200));
            assertThatThrownBy(() -> memory.allocate(TensorSpec.of(DType.F32, 51)))
                    .isInstanceOfSatisfying(DeviceMemoryException.class, e -> {
                        assertThat(e.requestedBytes()).isEqualTo(204);
                        assertThat(e.availableBytes()).isEqualTo(200);
                    });
            assertThat(memory.allocatedBytes()).isEqualTo(800);
            first.close();
            memory.allocate(TensorSpec.of(DType.F32, 51)).close();
            // 1e12 tokens would be 128 TB
            assertThatThrownBy(() -> memory.allocate(slab(BlockFormat.F32, new Retention.All(), 1_000_000_000_000L)))
                    .isInstanceOf(DeviceMemoryException.class)
                    .hasMessageContaining("256000000000000");
            assertThat(memory.allocatedBytes()).isZero();
        }
    }

    @Test
    void seesOtherProgramsTakeMemory() {
        AtomicLong system = new AtomicLong(1000);
        try (DeviceMemory memory = new DeviceMemory(system::get, new RowLayout())) {
            system.set(100);
            assertThat(memory.availableBytes()).isEqualTo(100);
            assertThatThrownBy(() -> memory.allocate(TensorSpec.of(DType.F32, 50)))
                    .isInstanceOf(DeviceMemoryException.class);
        }
    }

    @Test
    void largeMemoryIsZeroAlignedAndNotTouched() throws IOException {
        long bytes = 2L << 30;
        long before = residentBytes();
        try (DeviceMemory memory = memory(Long.MAX_VALUE)) {
            CpuTensor tensor = memory.allocate(TensorSpec.of(DType.F32, bytes / 4096, 1024));
            MemorySegment data = tensor.matrix().segment();
            assertThat(data.address() % 64).isZero();
            assertThat(data.byteSize()).isEqualTo(bytes);
            for (long at = 0; at < bytes; at += bytes / 64) {
                assertThat(data.get(ValueLayout.JAVA_INT, at)).isZero();
            }
            assertThat(data.get(ValueLayout.JAVA_INT, bytes - 4)).isZero();
            assertThat(residentBytes() - before).isLessThan(bytes / 4);
        }
    }

    /** What the process has in memory; 0 where the system does not tell. */
    private static long residentBytes() throws IOException {
        Path status = Path.of("/proc/self/status");
        return Files.isReadable(status) ? SystemMemory.kibibytes(Files.readAllLines(status), "VmRSS:") * 1024 : 0;
    }

    @Test
    void refusesRowsThatAnIndexCannotReach() {
        TensorSpec spec = TensorSpec.of(DType.F32, 2, 3_000_000_000L);
        try (DeviceMemory memory = memory(Long.MAX_VALUE)) {
            assertThatThrownBy(() -> memory.allocate(spec))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("F32[2, 3000000000]");
            assertThat(memory.allocatedBytes()).isZero();
        }
    }

    @Test
    void adoptedMemoryIsNotCopiedUnlessItMustBe() {
        TensorSpec spec = TensorSpec.of(DType.F16, 3);
        try (Arena shared = Arena.ofShared();
                Arena confined = Arena.ofConfined();
                DeviceMemory memory = memory(1000)) {
            MemorySegment odd = shared.allocate(7).asSlice(1);
            CpuTensor alias = memory.adopt(new HostTensor(spec, odd));
            assertThat(memory.allocatedBytes()).isZero();
            assertThat(alias.matrix().segment().address()).isEqualTo(odd.address());
            // Other threads of the pool can neither read a confined segment nor vectorise over the heap well.
            memory.adopt(new HostTensor(spec, confined.allocate(6)));
            memory.adopt(new HostTensor(spec, MemorySegment.ofArray(new byte[6])));
            assertThat(memory.allocatedBytes()).isEqualTo(12);
        }
    }

    @Test
    void adoptedMemoryThatIsGoneIsNoticed() {
        try (DeviceMemory memory = memory(1000)) {
            CpuTensor alias;
            try (Arena shared = Arena.ofShared()) {
                alias = memory.adopt(new HostTensor(TensorSpec.of(DType.F16, 3), shared.allocate(6)));
                alias.requireOpen();
            }
            assertThatThrownBy(alias::requireOpen)
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("F16[3]");
        }
    }

    @Test
    void viewsDieWithTheirOwnerAndEverythingWithTheDevice() {
        DeviceMemory memory = memory(1000);
        CpuTensor owner = memory.allocate(TensorSpec.of(DType.F32, 4, 2));
        CpuTensor other = memory.allocate(TensorSpec.of(DType.F32, 4, 2));
        CpuTensor view = (CpuTensor) ((Tensor) owner).rows(1, 2);
        view.close();
        view.requireOpen();
        owner.close();
        assertThatThrownBy(view::requireOpen).isInstanceOf(IllegalStateException.class);
        memory.close();
        memory.close();
        assertThat(memory.allocatedBytes()).isZero();
        assertThatThrownBy(other::requireOpen).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> memory.allocate(TensorSpec.of(DType.F32, 1)))
                .isInstanceOf(IllegalStateException.class);
    }
}
