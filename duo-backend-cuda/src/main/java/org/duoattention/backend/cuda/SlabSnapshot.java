package org.duoattention.backend.cuda;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.function.LongConsumer;
import java.util.zip.CRC32C;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.cache.Retention;
import org.duoattention.backend.cuda.slab.ChosenSlots;
import org.duoattention.backend.cuda.slab.SlabLayout;
import org.duoattention.backend.cuda.slab.SlotRuns;
import org.duoattention.backend.cuda.slab.Slots;

/**
 * A slab as bytes: a header of eight little-endian longs, then for every head its intact slots (key rows, key scales, value
 * rows, value scales), its scores and its positions where it has them. The header is: magic and version, a digest of the spec,
 * the length, two numbers of the retention's state, the payload's bytes, the payload's checksum (CRC-32C), and the checksum of
 * the header so far.
 */
final class SlabSnapshot {
    private static final long MAGIC = 0x0001_4144_5543_4f44L;
    private static final int HEADER_LONGS = 8;
    private static final long HEADER_BYTES = 8L * HEADER_LONGS;
    private static final ValueLayout.OfLong I64 = ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    /** What is done with a piece of a slab's memory and its bytes in the snapshot. */
    @FunctionalInterface
    private interface Transfer {
        void move(long address, MemorySegment bytes);
    }

    private SlabSnapshot() {}

    /** Bytes of a snapshot now. */
    static long bytes(CudaSlab slab) {
        return HEADER_BYTES + payloadBytes(slab, slab.slots());
    }

    private static long payloadBytes(CudaSlab slab, Slots slots) {
        SlabLayout layout = slab.layout();
        long row = 2 * (layout.rowBytes() + layout.scaleBytes());
        long choice = (slots instanceof ChosenSlots ? 8L : 0L) + (layout.isScored() ? 4L : 0L);
        return slab.heads() * (slots.intact().count() * row + slots.visible().count() * choice);
    }

    /** Writes a snapshot, whose size has been checked; waits for queued work. */
    static void save(CudaSlab slab, Launches launches, MemorySegment target) {
        Slots slots = slab.slots();
        long end = transfer(slab, slots, target, launches::download);
        if (slots instanceof ChosenSlots) {
            for (int i = 0; i < slab.heads(); i++) {
                for (long position : slots.positions(i)) {
                    target.set(I64, end, position);
                    end += 8;
                }
            }
        }
        long[] state = slots.state();
        long[] header = {
            MAGIC,
            digest(slab.spec()),
            slots.length(),
            state[0],
            state[1],
            end - HEADER_BYTES,
            checksum(target, HEADER_BYTES, end - HEADER_BYTES)
        };
        for (int i = 0; i < header.length; i++) {
            target.set(I64, 8L * i, header[i]);
        }
        target.set(I64, HEADER_BYTES - 8, checksum(target, 0, HEADER_BYTES - 8));
    }

    /**
     * Queues the copies of a snapshot into a slab.
     *
     * @param room called with the tokens that the slab will have, before anything is queued
     * @return the counters that it has then
     * @throws IllegalArgumentException when it is not one of a slab with this spec; nothing is queued then
     */
    static Slots restore(CudaSlab slab, Launches launches, MemorySegment source, LongConsumer room) {
        if (source.byteSize() < HEADER_BYTES
                || source.get(I64, 0) != MAGIC
                || source.get(I64, HEADER_BYTES - 8) != checksum(source, 0, HEADER_BYTES - 8)) {
            throw new IllegalArgumentException(
                    "these " + source.byteSize() + " bytes are not a snapshot of a CUDA slab");
        }
        if (source.get(I64, 8) != digest(slab.spec())) {
            throw new IllegalArgumentException("the snapshot is of a slab with another spec than " + slab.spec());
        }
        Slots slots = Slots.of(slab.spec());
        long[] state = {source.get(I64, 24), source.get(I64, 32)};
        if (!slots.restore(source.get(I64, 16), state)) {
            throw new IllegalArgumentException("the snapshot holds a state that a slab cannot be in");
        }
        long payload = payloadBytes(slab, slots);
        if (source.get(I64, 40) != payload || source.byteSize() - HEADER_BYTES != payload) {
            throw new IllegalArgumentException(
                    "the snapshot has " + (source.byteSize() - HEADER_BYTES) + " bytes of slots instead of " + payload);
        }
        if (source.get(I64, 48) != checksum(source, HEADER_BYTES, payload)) {
            throw new IllegalArgumentException("the slots of the snapshot do not fit their checksum");
        }
        if (slots instanceof ChosenSlots chosen) {
            restorePositions(slab, chosen, source);
        }
        room.accept(slots.length());
        transfer(slab, slots, source, (address, bytes) -> launches.upload(bytes, address));
        return slots;
    }

    private static void restorePositions(CudaSlab slab, ChosenSlots slots, MemorySegment source) {
        int count = Math.toIntExact(slots.visible().count());
        long at = source.byteSize() - 8L * count * slab.heads();
        for (int i = 0; i < slab.heads(); i++) {
            long[] positions = new long[count];
            for (int s = 0; s < count; s++) {
                positions[s] = source.get(I64, at);
                at += 8;
            }
            if (!slots.restorePositions(i, positions)) {
                throw new IllegalArgumentException("the positions in the snapshot do not ascend below its length");
            }
        }
    }

    /** Moves everything that lies on the device; returns the offset after it in the snapshot. */
    private static long transfer(CudaSlab slab, Slots slots, MemorySegment host, Transfer transfer) {
        SlabLayout layout = slab.layout();
        SlotRuns runs = slots.intact();
        long at = HEADER_BYTES;
        for (int i = 0; i < slab.heads(); i++) {
            at = rows(slab.address() + layout.keys(i), layout.rowBytes(), runs, host, at, transfer);
            at = rows(slab.address() + layout.keyScales(i), layout.scaleBytes(), runs, host, at, transfer);
            at = rows(slab.address() + layout.values(i), layout.rowBytes(), runs, host, at, transfer);
            at = rows(slab.address() + layout.valueScales(i), layout.scaleBytes(), runs, host, at, transfer);
            if (layout.isScored()) {
                at = rows(slab.address() + layout.scores(i), 4, slots.visible(), host, at, transfer);
            }
        }
        return at;
    }

    private static long rows(
            long address, long rowBytes, SlotRuns runs, MemorySegment host, long offset, Transfer transfer) {
        if (rowBytes == 0) {
            return offset;
        }
        long[] at = {offset};
        runs.forEach((slot, count) -> {
            transfer.move(address + slot * rowBytes, host.asSlice(at[0], count * rowBytes));
            at[0] += count * rowBytes;
        });
        return at[0];
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
