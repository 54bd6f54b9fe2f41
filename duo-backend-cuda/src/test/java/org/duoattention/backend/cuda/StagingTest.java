package org.duoattention.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.SplittableRandom;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.duoattention.backend.cuda.driver.Context;
import org.duoattention.backend.cuda.driver.DeviceMemory;
import org.duoattention.backend.cuda.driver.Driver;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Copies by way of pinned memory, longer than both of its halves, on the emulated driver. */
class StagingTest {
    private static final long HALF = 5 << 20;

    /** More than both halves, in parts that are not equal. */
    private static final long BYTES = 2 * HALF + HALF / 3 + 7;

    /** Memory that several threads can read is copied by several. */
    static Stream<Supplier<Arena>> arenas() {
        return Stream.of(Arena::ofConfined, Arena::ofShared);
    }

    @ParameterizedTest
    @MethodSource("arenas")
    void longCopiesComeBackAsTheyWere(Supplier<Arena> arenas) {
        Driver driver = Driver.load(EmulatedDriver.library().toString());
        try (Arena arena = arenas.get();
                Context context = Context.open(driver, 0);
                DeviceMemory memory = new DeviceMemory(context);
                Staging staging = new Staging(context, HALF)) {
            MemorySegment source = arena.allocate(BYTES);
            SplittableRandom random = new SplittableRandom(3);
            for (long i = 0; i + Long.BYTES <= BYTES; i += Long.BYTES) {
                source.set(ValueLayout.JAVA_LONG_UNALIGNED, i, random.nextLong());
            }
            MemorySegment expected = MemorySegment.ofArray(source.toArray(ValueLayout.JAVA_BYTE));
            DeviceMemory.Block block = memory.allocate("a copy", BYTES);
            long stream = context.createStream();
            try {
                staging.upload(source, block.address(), stream);
                // It has been read: nothing that is written now may arrive.
                source.fill((byte) 0);
                MemorySegment back = arena.allocate(BYTES);
                staging.download(block.address(), back, stream);

                assertThat(back.mismatch(expected)).isEqualTo(-1);
            } finally {
                context.destroyStream(stream);
                memory.free(block);
            }
        }
    }
}
