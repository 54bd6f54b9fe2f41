package org.duoattention.tck;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.cache.Retention;

/**
 * A slab of {@link OpaqueDevice}. The counters change when a call is made; the slots change when the stream's queue
 * runs, and only code in that queue touches them.
 */
final class OpaqueSlab implements Slab {
    /** One token of one head. */
    static final class Slot {
        final long position;
        final double[] key;
        final double[] value;
        double score;

        Slot(long position, double[] key, double[] value, double score) {
            this.position = position;
            this.key = key;
            this.value = value;
            this.score = score;
        }
    }

    /**
     * The counters.
     *
     * @param length tokens seen
     * @param held slots that each head holds, an undo margin included
     * @param retainedFrom the first token past the sinks that is visible; only streaming slabs move it
     * @param heldFrom the first token past the sinks that is still there; only streaming slabs move it
     * @param exactFrom what {@link #minLength} says for other retentions
     * @param lastAppend tokens that the next attend may ask for
     */
    record Counters(long length, long held, long retainedFrom, long heldFrom, long exactFrom, int lastAppend) {}

    private final OpaqueDevice device;
    private final SlabSpec spec;
    private final long bytes;
    private volatile boolean closed;

    Counters counters = new Counters(0, 0, 0, 0, 0, 0);
    final List<List<Slot>> slots = new ArrayList<>();

    OpaqueSlab(OpaqueDevice device, SlabSpec spec, long bytes) {
        this.device = device;
        this.spec = spec;
        this.bytes = bytes;
        for (int i = 0; i < spec.heads().size(); i++) {
            slots.add(new ArrayList<>());
        }
    }

    @Override
    public SlabSpec spec() {
        device.checkOpen();
        return spec;
    }

    @Override
    public long length() {
        checkOpen();
        return counters.length;
    }

    @Override
    public long minLength() {
        checkOpen();
        if (spec.retention() instanceof Retention.SinkAndRecent(int sinks, int recent)) {
            return counters.heldFrom > sinks ? counters.heldFrom + recent : 0;
        }
        return counters.exactFrom;
    }

    @Override
    public long bytes() {
        device.checkOpen();
        return bytes;
    }

    @Override
    public void close() {
        closed = true;
        device.released(this, bytes);
    }

    void checkOpen() {
        device.checkOpen();
        if (closed) {
            throw new IllegalStateException("the slab of layer " + spec.layer() + " is closed");
        }
    }

    boolean belongsTo(OpaqueDevice other) {
        return device == other;
    }

    /** What the slab holds of one row: {@code headDim} numbers from {@code from}, rounded as they are stored. */
    double[] stored(double[] numbers, int from) {
        return StoredRow.of(
                spec.format(),
                Arrays.copyOfRange(numbers, from, from + spec.shape().headDim()));
    }

    boolean isStreaming() {
        return spec.retention() instanceof Retention.SinkAndRecent;
    }

    void appended(int tokens) {
        boolean inexact = spec.retention().scores().isPresent();
        long length = counters.length + tokens;
        counters = new Counters(
                length,
                counters.held + tokens,
                counters.retainedFrom,
                counters.heldFrom,
                inexact ? length : counters.exactFrom,
                tokens);
    }

    void evicted(Retention.SinkAndRecent retention, int undo) {
        long length = counters.length;
        long first = length - retention.recent();
        long retainedFrom = Math.max(counters.retainedFrom, first > retention.sinks() ? first : 0);
        long heldFrom = Math.max(counters.heldFrom, first - undo > retention.sinks() ? first - undo : 0);
        counters = new Counters(length, streamingHeld(length, heldFrom, retention), retainedFrom, heldFrom, 0, 0);
    }

    void compacted(int kept) {
        boolean dropped = kept < counters.held;
        counters = new Counters(counters.length, kept, 0, 0, dropped ? counters.length : counters.exactFrom, 0);
    }

    void truncated(long length) {
        long removed = counters.length - length;
        if (spec.retention() instanceof Retention.SinkAndRecent retention) {
            long first = length - retention.recent();
            long retainedFrom = Math.min(counters.retainedFrom, first > retention.sinks() ? first : 0);
            long held = streamingHeld(length, counters.heldFrom, retention);
            counters = new Counters(length, held, retainedFrom, counters.heldFrom, 0, 0);
        } else {
            counters = new Counters(length, counters.held - removed, 0, 0, counters.exactFrom, 0);
        }
    }

    private static long streamingHeld(long length, long heldFrom, Retention.SinkAndRecent retention) {
        long sinks = Math.min(length, retention.sinks());
        return sinks + length - Math.max(heldFrom, sinks);
    }

    @Override
    public String toString() {
        return "slab of layer " + spec.layer() + " heads " + spec.heads();
    }
}
