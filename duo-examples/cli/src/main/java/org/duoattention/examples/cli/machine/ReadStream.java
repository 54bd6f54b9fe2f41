package org.duoattention.examples.cli.machine;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/**
 * Read bandwidth as in STREAM (McCalpin, 1995), reading only: every thread sums its own part of a memory that is many times
 * larger than the caches. Owns the memory. For use by one thread.
 */
public final class ReadStream implements AutoCloseable {
    private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
    private static final int STEP = SPECIES.vectorByteSize();
    /** One call is short enough that the compiled loop is entered from the top, not in the middle of its first run. */
    private static final long BLOCK = 1 << 20;

    private static final long PART = 128 << 20;

    private final Arena arena = Arena.ofShared();
    private final MemorySegment[] parts;
    private final Team team;
    /** Keeps the sums alive. */
    private volatile float sink;

    /** Takes 128 MiB per thread of the team. */
    public ReadStream(Team team) {
        this.team = team;
        this.parts = new MemorySegment[team.threads()];
        team.run(thread -> {
            MemorySegment part = arena.allocate(PART, HugePages.SIZE);
            HugePages.collapse(part);
            for (long i = 0; i < PART; i += Float.BYTES) {
                part.set(ValueLayout.JAVA_FLOAT, i, i & 7);
            }
            parts[thread] = part;
        });
    }

    /** Bytes of the whole memory. */
    public long bytes() {
        return PART * parts.length;
    }

    /** Reads everything once. */
    public void read() {
        team.run(thread -> {
            float sum = 0;
            for (long at = 0; at < PART; at += BLOCK) {
                sum += sum(parts[thread], at);
            }
            sink = sum;
        });
    }

    /** Reads everything once and returns bytes per second. */
    public double measure() {
        long start = System.nanoTime();
        read();
        return bytes() / ((System.nanoTime() - start) * 1e-9);
    }

    private static float sum(MemorySegment memory, long from) {
        FloatVector a = FloatVector.zero(SPECIES);
        FloatVector b = a;
        FloatVector c = a;
        FloatVector d = a;
        for (long i = from; i < from + BLOCK; i += 4L * STEP) {
            a = a.add(FloatVector.fromMemorySegment(SPECIES, memory, i, ByteOrder.LITTLE_ENDIAN));
            b = b.add(FloatVector.fromMemorySegment(SPECIES, memory, i + STEP, ByteOrder.LITTLE_ENDIAN));
            c = c.add(FloatVector.fromMemorySegment(SPECIES, memory, i + 2L * STEP, ByteOrder.LITTLE_ENDIAN));
            d = d.add(FloatVector.fromMemorySegment(SPECIES, memory, i + 3L * STEP, ByteOrder.LITTLE_ENDIAN));
        }
        return a.add(b).add(c.add(d)).lane(0);
    }

    @Override
    public void close() {
        arena.close();
    }
}
