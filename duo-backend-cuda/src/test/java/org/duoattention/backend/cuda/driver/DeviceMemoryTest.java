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
        // All memory in pieces of 128 MiB; then every other one is free, and more is asked for than any of these holds.
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
    }

    @Test
    void aBlockOfNothingTakesNothing() {
        DeviceMemory.Block nothing = memory.allocate("nothing", 0);

        assertThat(nothing.bytes()).isZero();
        memory.free(nothing);
        assertThat(memory.usedBytes()).isZero();
    }
}
