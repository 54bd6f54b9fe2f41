package org.duoattention.tck;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.CRC32;
import org.duoattention.api.backend.SlabSpec;

/**
 * What {@link OpaqueStream#save} writes: a check sum, a mark of the spec, the counters, and every slot.
 *
 * @param counters the counters of the slab
 * @param slots the slots of every head
 */
record OpaqueSnapshot(OpaqueSlab.Counters counters, List<List<OpaqueSlab.Slot>> slots) {
    private static final long HEADER = 7L * Long.BYTES;

    static long bytes(OpaqueSlab slab) {
        return HEADER + slab.slots.size() * slab.counters.held() * slotBytes(slab.spec());
    }

    private static long slotBytes(SlabSpec spec) {
        return Long.BYTES + (2L * spec.shape().headDim() + 1) * Double.BYTES;
    }

    static byte[] write(OpaqueSlab slab, OpaqueSlab.Counters counters) {
        long slots = slab.slots.stream().mapToLong(List::size).sum();
        byte[] bytes = new byte[Math.toIntExact(HEADER + slots * slotBytes(slab.spec()))];
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        buffer.putLong(0).putLong(slab.spec().toString().hashCode());
        buffer.putLong(counters.length()).putLong(counters.held()).putLong(counters.retainedFrom());
        buffer.putLong(counters.heldFrom()).putLong(counters.exactFrom());
        for (List<OpaqueSlab.Slot> head : slab.slots) {
            for (OpaqueSlab.Slot slot : head) {
                buffer.putLong(slot.position).putDouble(slot.score);
                for (int d = 0; d < slot.key.length; d++) {
                    buffer.putDouble(slot.key[d]).putDouble(slot.value[d]);
                }
            }
        }
        buffer.putLong(0, checkSum(bytes));
        return bytes;
    }

    static OpaqueSnapshot read(SlabSpec spec, byte[] bytes) {
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        if (bytes.length < HEADER
                || buffer.getLong() != checkSum(bytes)
                || buffer.getLong() != spec.toString().hashCode()) {
            throw new IllegalArgumentException("these " + bytes.length + " bytes are no snapshot of " + spec);
        }
        OpaqueSlab.Counters counters = new OpaqueSlab.Counters(
                buffer.getLong(), buffer.getLong(), buffer.getLong(), buffer.getLong(), buffer.getLong(), 0);
        List<List<OpaqueSlab.Slot>> heads = new ArrayList<>();
        for (int i = 0; i < spec.heads().size(); i++) {
            List<OpaqueSlab.Slot> head = new ArrayList<>();
            for (long s = 0; s < counters.held(); s++) {
                head.add(readSlot(buffer, spec.shape().headDim()));
            }
            heads.add(head);
        }
        return new OpaqueSnapshot(counters, heads);
    }

    private static OpaqueSlab.Slot readSlot(ByteBuffer buffer, int dim) {
        long position = buffer.getLong();
        double score = buffer.getDouble();
        double[] key = new double[dim];
        double[] value = new double[dim];
        for (int d = 0; d < dim; d++) {
            key[d] = buffer.getDouble();
            value[d] = buffer.getDouble();
        }
        return new OpaqueSlab.Slot(position, key, value, score);
    }

    private static long checkSum(byte[] bytes) {
        CRC32 crc = new CRC32();
        crc.update(bytes, Long.BYTES, bytes.length - Long.BYTES);
        return crc.getValue();
    }
}
