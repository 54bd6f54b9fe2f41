package org.duoattention.backend.cuda.driver;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.SplittableRandom;
import org.duoattention.api.backend.DeviceMemoryException;
import org.duoattention.backend.cuda.EmulatedDriver;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.parallel.Isolated;

/** The pool on the emulated driver, whose device has 6 GiB; alone, because devices share them. */
@Isolated
class DeviceMemoryTest {
    private static final long MIB = 1 << 20;

    private Context context;
    private DeviceMemory memory;

    @BeforeEach
    void open() {
        context = Context.open(Driver.load(EmulatedDriver.library().toString()), 0);
        memory = new DeviceMemory(context);
    }

    @AfterEach
    void close() {
        if (memory != null) {
            memory.close();
            context.close();
        }
    }

    @Test
    void blocksAreAlignedApartAndCountedExactly() {
        SplittableRandom random = new SplittableRandom(7);
        List<DeviceMemory.Block> blocks = new ArrayList<>();
        long available = memory.availableBytes();
        long used = 0;
        for (int i = 0; i < 2000; i++) {
            if (!blocks.isEmpty() && random.nextInt(3) == 0) {
                DeviceMemory.Block block = blocks.remove(random.nextInt(blocks.size()));
                memory.free(block);
                used -= block.bytes();
            } else {
                long bytes = random.nextLong(1, 100_000);
                DeviceMemory.Block block = memory.allocate("a block", bytes);
                assertThat(block.address() % 256).isZero();
                assertThat(block.bytes()).isBetween(bytes, bytes + 255).isEqualTo(DeviceMemory.blockBytes(bytes));
                blocks.add(block);
                used += block.bytes();
            }
            assertThat(memory.usedBytes()).isEqualTo(used);
        }
        blocks.sort(Comparator.comparingLong(DeviceMemory.Block::address));
        for (int i = 1; i < blocks.size(); i++) {
            DeviceMemory.Block before = blocks.get(i - 1);
            assertThat(before.address() + before.bytes())
                    .isLessThanOrEqualTo(blocks.get(i).address());
        }
        assertThat(memory.availableBytes()).isEqualTo(available - used);
        blocks.forEach(memory::free);
        assertThat(memory.usedBytes()).isZero();
        assertThat(memory.availableBytes()).isEqualTo(available);
    }

    @Test
    void whatDoesNotFitIsRefusedWithBothFigures() {
        long available = memory.availableBytes();

        assertThatThrownBy(() -> memory.allocate("a cache", available + 1))
                .isInstanceOf(DeviceMemoryException.class)
                .hasMessage(
                        "a cache needs %d bytes, %d are available", DeviceMemory.blockBytes(available + 1), available);
        assertThat(memory.usedBytes()).isZero();
    }

    @Test
    void memoryInPiecesIsMovedTogether() {
        // Of the rest the emulation writes every byte.
        EmulatedDriver.othersTake(3L << 30);
        try {
            // All memory in pieces of 128 MiB; then every other one is free, and more is asked for than any of these
            // holds.
            List<DeviceMemory.Block> blocks = new ArrayList<>();
            while (memory.availableBytes() >= 128 * MIB) {
                blocks.add(memory.allocate("a block", 128 * MIB));
            }
            for (int i = 0; i < blocks.size(); i += 2) {
                memory.free(blocks.get(i));
            }
            long available = memory.availableBytes();

            DeviceMemory.Block large = memory.allocate("a large block", available / 2);

            assertThat(available).isGreaterThan(1024 * MIB);
            assertThat(memory.availableBytes()).isEqualTo(available - large.bytes());
        } finally {
            EmulatedDriver.othersTake(0);
        }
    }

    @Test
    void aBlockOfNothingTakesNothing() {
        DeviceMemory.Block nothing = memory.allocate("nothing", 0);

        assertThat(nothing.bytes()).isZero();
        memory.free(nothing);
        assertThat(memory.usedBytes()).isZero();
    }

    private static List<DeviceMemory.Need> need(GrowingBlock block, long bytes) {
        return List.of(new DeviceMemory.Need(block, List.of(new GrowingBlock.Extent(0, bytes))));
    }

    @Test
    void aGrowingBlockIsPromisedWhatItDoesNotTake() {
        long available = memory.availableBytes();
        long used = EmulatedDriver.usedBytes();
        long addresses = EmulatedDriver.reservedBytes();

        GrowingBlock block = memory.allocateGrowing("a cache", 1000 * MIB - 1);

        assertThat(block.bytes()).isEqualTo(1000 * MIB).isEqualTo(memory.growingBytes(1000 * MIB - 1));
        assertThat(memory.availableBytes()).isEqualTo(available - 1000 * MIB);
        assertThat(EmulatedDriver.usedBytes()).isEqualTo(used);
        memory.map("a cache", need(block, 3 * MIB), need(block, 3 * MIB));
        assertThat(memory.mappedBytes(block)).isEqualTo(4 * MIB);
        assertThat(EmulatedDriver.usedBytes()).isEqualTo(used + 4 * MIB);
        assertThat(memory.availableBytes()).isEqualTo(available - 1000 * MIB);
        memory.map("a cache", need(block, 7 * MIB), need(block, 7 * MIB));
        assertThat(memory.mappedBytes(block)).isEqualTo(8 * MIB);
        memory.unmapBeyond(need(block, 1).getFirst());
        assertThat(memory.mappedBytes(block)).isEqualTo(2 * MIB);
        memory.map("a cache", need(block, block.bytes()), need(block, block.bytes()));
        assertThat(memory.mappedBytes(block)).isEqualTo(block.bytes());
        memory.free(block);
        memory.free(block);
        assertThat(EmulatedDriver.usedBytes()).isEqualTo(used);
        assertThat(EmulatedDriver.reservedBytes()).isEqualTo(addresses);
        assertThat(memory.availableBytes()).isEqualTo(available);
    }

    @Test
    void whatIsPromisedNobodyElseIsGiven() {
        long available = memory.availableBytes();
        GrowingBlock block = memory.allocateGrowing("a cache", available - 64 * MIB);

        assertThat(memory.availableBytes()).isEqualTo(available - block.bytes()).isLessThanOrEqualTo(64 * MIB);
        assertThatThrownBy(() -> memory.allocateGrowing("another cache", 65 * MIB))
                .isInstanceOf(DeviceMemoryException.class)
                .hasMessage("another cache needs %d bytes, %d are available", 66 * MIB, available - block.bytes());
        assertThatThrownBy(() -> memory.allocate("a tensor", 65 * MIB)).isInstanceOf(DeviceMemoryException.class);
        memory.allocate("a tensor", 60 * MIB);
        assertThat(EmulatedDriver.mappedBytes()).isEqualTo(60 * MIB);
    }

    /** Every model has a pool of its own. */
    @Test
    void anotherPoolIsNotGivenWhatIsPromisedEither() {
        long available = memory.availableBytes();
        GrowingBlock block = memory.allocateGrowing("a cache", available - 64 * MIB);
        try (DeviceMemory another = new DeviceMemory(context)) {
            assertThat(another.availableBytes()).isEqualTo(memory.availableBytes());
            assertThatThrownBy(() -> another.allocate("a tensor", 65 * MIB)).isInstanceOf(DeviceMemoryException.class);
            assertThatThrownBy(() -> another.allocateGrowing("another cache", 65 * MIB))
                    .isInstanceOf(DeviceMemoryException.class);
            memory.free(block);
            assertThat(another.availableBytes()).isEqualTo(available);
        }
    }

    /** Modules are loaded, and graphs made, after caches are allocated. */
    @Test
    void whatIsLeftToTheDriverMayBeGoneWhenACacheGrows() {
        // Of the rest the emulation writes every byte.
        EmulatedDriver.othersTake(5L << 30);
        try {
            GrowingBlock block = memory.allocateGrowing("a cache", memory.availableBytes());
            EmulatedDriver.othersTake((5L << 30) + 150 * MIB);
            memory.map("a cache", need(block, block.bytes()), need(block, block.bytes()));
            assertThat(memory.mappedBytes(block)).isEqualTo(block.bytes());
        } finally {
            EmulatedDriver.othersTake(0);
        }
    }

    @Test
    void unusedMemoryOfThePoolGoesToGrowingBlocks() {
        // Of the rest the emulation writes every byte.
        EmulatedDriver.othersTake(5L << 30);
        try {
            long available = memory.availableBytes();
            memory.free(memory.allocate("a block", available - 32 * MIB));
            assertThat(EmulatedDriver.mappedBytes()).isGreaterThanOrEqualTo(available - 32 * MIB);

            GrowingBlock block = memory.allocateGrowing("a cache", available);

            memory.map("a cache", need(block, MIB), need(block, MIB));
            assertThat(EmulatedDriver.mappedBytes()).isEqualTo(2 * MIB);
            memory.free(block);
            assertThat(memory.allocate("a block", available).bytes()).isEqualTo(available);
        } finally {
            EmulatedDriver.othersTake(0);
        }
    }

    @Test
    void whatOtherProgramsHaveTakenIsRefusedAndChangesNothing() {
        GrowingBlock first = memory.allocateGrowing("a cache", 100 * MIB);
        GrowingBlock second = memory.allocateGrowing("a cache", 100 * MIB);
        memory.map("a cache", need(first, 10 * MIB), need(first, 10 * MIB));
        List<DeviceMemory.Need> both =
                List.of(need(first, 30 * MIB).getFirst(), need(second, 20 * MIB).getFirst());
        try {
            EmulatedDriver.othersTake(context.freeBytes() - 39 * MIB);
            assertThatThrownBy(() -> memory.map("a cache", both, both))
                    .isInstanceOf(DeviceMemoryException.class)
                    .hasMessage("a cache needs %d bytes, %d are available", 40 * MIB, 38 * MIB);
            assertThat(EmulatedDriver.mappedBytes()).isEqualTo(10 * MIB);
            // Not known beforehand: another program takes it in between.
            EmulatedDriver.othersTake(0);
            for (int there = 0; there < 8; there++) {
                EmulatedDriver.limitCreations(there);
                assertThatThrownBy(() -> memory.map("a cache", both, both)).isInstanceOf(DeviceMemoryException.class);
                assertThat(EmulatedDriver.mappedBytes()).isEqualTo(10 * MIB);
                assertThat(EmulatedDriver.usedBytes()).isEqualTo(10 * MIB);
                assertThat(memory.mappedBytes(first)).isEqualTo(10 * MIB);
                assertThat(memory.mappedBytes(second)).isZero();
            }
            // What is asked for beyond the need is no reason to refuse.
            EmulatedDriver.limitCreations(-1);
            EmulatedDriver.othersTake(context.freeBytes() - 38 * MIB);
            memory.map("a cache", both, need(second, 20 * MIB));
            assertThat(memory.mappedBytes(second)).isEqualTo(20 * MIB);
        } finally {
            EmulatedDriver.limitCreations(-1);
            EmulatedDriver.othersTake(0);
        }
    }
}
