package org.duoattention.backend.cpu.memory;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.zip.CRC32C;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.cache.Retention;
import org.duoattention.backend.cpu.kernel.SlotRuns;

/**
 * A slab as bytes: a header of eight little-endian longs, then for every head its intact slots (key row and value row of
 * each), its positions and its scores where it has them. The header is: magic and version, a digest of the spec, the
 * length, two numbers of the retention's state, the payload's bytes, the payload's checksum (CRC-32C), and the checksum of
 * the header so far.
 */
final class Snapshot {
    private static final long MAGIC = 0x0001_4255_4c53_4f44L;
    private static final int HEADER_LONGS = 8;
    private static final long HEADER_BYTES = 8L * HEADER_LONGS;
    private static final ValueLayout.OfLong I64 = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private Snapshot() {}

    static long bytes(CpuSlab slab, SlabLayout places, Slots slots) {
        return HEADER_BYTES + payloadBytes(slab, places, slots);
    }

    private static long payloadBytes(CpuSlab slab, SlabLayout places, Slots slots) {
        return slab.heads() * headBytes(slab.spec(), places, slots);
    }

    private static long headBytes(SlabSpec spec, SlabLayout places, Slots slots) {
        return slots.intact().count() * places.slotBytes()
                + slots.visible().count() * (positionBytes(slots) + scoreBytes(spec));
    }

    private static long positionBytes(Slots slots) {
        return slots instanceof ChosenSlots ? 8 : 0;
    }

    private static long scoreBytes(SlabSpec spec) {
        return spec.retention().scores().isPresent() ? 4 : 0;
    }

    static void save(CpuSlab slab, MemorySegment memory, SlabLayout places, Slots slots, MemorySegment target) {
        SlotRuns runs = slots.intact();
        long visible = slots.visible().count();
        long at = HEADER_BYTES;
        for (int i = 0; i < slab.heads(); i++) {
            for (long ordinal = 0; ordinal < runs.count(); ) {
                long end = runs.runEnd(ordinal);
                places.layout().copyOut(slab.head(i), runs.slot(ordinal), end - ordinal, target, at);
                at += (end - ordinal) * places.slotBytes();
                ordinal = end;
            }
            long positions = visible * positionBytes(slots);
            if (positions > 0) {
                MemorySegment.copy(memory, places.positions(i), target, at, positions);
            }
            at += positions;
            long scores = visible * scoreBytes(slab.spec());
            if (scores > 0) {
                MemorySegment.copy(memory, places.scores(i), target, at, scores);
            }
            at += scores;
        }
        long[] state = slots.state();
        long[] header = {
            MAGIC,
            digest(slab.spec()),
            slots.length(),
            state[0],
            state[1],
            at - HEADER_BYTES,
            checksum(target, HEADER_BYTES, at - HEADER_BYTES)
        };
        for (int i = 0; i < header.length; i++) {
            target.set(I64, 8L * i, header[i]);
        }
        target.set(I64, HEADER_BYTES - 8, checksum(target, 0, HEADER_BYTES - 8));
    }

    static Slots restore(CpuSlab slab, MemorySegment memory, SlabLayout places, MemorySegment source) {
        if (source.byteSize() < HEADER_BYTES
                || source.get(I64, 0) != MAGIC
                || source.get(I64, HEADER_BYTES - 8) != checksum(source, 0, HEADER_BYTES - 8)) {
            throw new IllegalArgumentException("these " + source.byteSize() + " bytes are not a snapshot of a slab");
        }
        if (source.get(I64, 8) != digest(slab.spec())) {
            throw new IllegalArgumentException("the snapshot is of a slab with another spec than " + slab.spec());
        }
        Slots slots = Slots.of(slab.spec());
        long[] state = {source.get(I64, 24), source.get(I64, 32)};
        if (!slots.restore(source.get(I64, 16), state)) {
            throw new IllegalArgumentException("the snapshot holds a state that a slab cannot be in");
        }
        long payload = payloadBytes(slab, places, slots);
        if (source.get(I64, 40) != payload || source.byteSize() - HEADER_BYTES < payload) {
            throw new IllegalArgumentException(
                    "the snapshot should have " + (HEADER_BYTES + payload) + " bytes, it has " + source.byteSize());
        }
        if (source.get(I64, 48) != checksum(source, HEADER_BYTES, payload)) {
            throw new IllegalArgumentException("the snapshot is damaged: its checksum does not fit");
        }
        long at = HEADER_BYTES;
        SlotRuns runs = slots.intact();
        long visible = slots.visible().count();
        for (int i = 0; i < slab.heads(); i++) {
            for (long ordinal = 0; ordinal < runs.count(); ) {
                long end = runs.runEnd(ordinal);
                places.layout().copyIn(source, at, slab.head(i), runs.slot(ordinal), end - ordinal);
                at += (end - ordinal) * places.slotBytes();
                ordinal = end;
            }
            long positions = visible * positionBytes(slots);
            if (positions > 0) {
                MemorySegment.copy(source, at, memory, places.positions(i), positions);
            }
            at += positions;
            long scores = visible * scoreBytes(slab.spec());
            if (scores > 0) {
                MemorySegment.copy(source, at, memory, places.scores(i), scores);
            }
            at += scores;
        }
        return slots;
    }

    /** A number that differs for different specs; a selector's identity does not count, since it is code. */
    private static long digest(SlabSpec spec) {
        Object retention = spec.retention() instanceof Retention.Custom(int budget, var scores, var selector)
                ? "Custom " + budget + " " + scores
                : spec.retention();
        String text = String.join(
                "|",
                spec.shape().toString(),
                String.valueOf(spec.layer()),
                spec.heads().toString(),
                spec.format().toString(),
                retention.toString(),
                String.valueOf(spec.maxTokens()),
                String.valueOf(spec.maxChunk()),
                String.valueOf(spec.undo()));
        // FNV-1a
        long hash = 0xcbf29ce484222325L;
        for (byte b : text.getBytes(StandardCharsets.UTF_8)) {
            hash = (hash ^ b & 0xff) * 0x100000001b3L;
        }
        return hash;
    }

    private static long checksum(MemorySegment segment, long from, long count) {
        CRC32C crc = new CRC32C();
        byte[] buffer = new byte[(int) Math.min(count, 1 << 16)];
        for (long done = 0; done < count; ) {
            int bytes = (int) Math.min(buffer.length, count - done);
            MemorySegment.copy(segment, ValueLayout.JAVA_BYTE, from + done, buffer, 0, bytes);
            crc.update(buffer, 0, bytes);
            done += bytes;
        }
        return crc.getValue();
    }
}
