package org.duoattention.backend.cpu.memory;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.cache.ScoreSpec;
import org.duoattention.api.cache.SlotTable;
import org.duoattention.backend.cpu.kernel.KvHead;
import org.duoattention.backend.cpu.kernel.KvLayout;
import org.duoattention.backend.cpu.kernel.Matrix;
import org.duoattention.backend.cpu.kernel.SlotRuns;
import org.duoattention.backend.cpu.kernel.Workspace;

/**
 * The keys and values of the heads of one slab in host memory.
 *
 * <p>The heads that a slab holds are numbered {@code 0 .. heads-1} here, in ascending order of the layer's heads. Not
 * thread-safe; the stream's checks have been made.
 */
public final class CpuSlab implements Slab {
    private final DeviceMemory device;
    private final SlabSpec spec;
    private final SlabLayout places;
    private final NativeMemory memory;
    private final KvHead[] heads;
    private final AtomicBoolean closed = new AtomicBoolean();
    private Slots slots;
    private long lastAppend;
    private boolean scoresTaken;

    CpuSlab(DeviceMemory device, SlabSpec spec, SlabLayout places, NativeMemory memory) {
        this.device = device;
        this.spec = spec;
        this.places = places;
        this.memory = memory;
        this.heads = places.heads(memory.segment());
        this.slots = Slots.of(spec);
    }

    @Override
    public SlabSpec spec() {
        return spec;
    }

    @Override
    public long length() {
        requireOpen();
        return slots.length();
    }

    @Override
    public long minLength() {
        requireOpen();
        return slots.minLength();
    }

    @Override
    public long bytes() {
        return places.bytes();
    }

    /** Where the tokens are. */
    public Slots slots() {
        return slots;
    }

    /** Keys and values of a head. */
    public KvHead head(int index) {
        return heads[index];
    }

    /** Number of heads. */
    public int heads() {
        return heads.length;
    }

    /** Tokens of the last append; 0 after anything else that changed the slab. */
    public long lastAppend() {
        return lastAppend;
    }

    /** Whether it is memory of this device. */
    public boolean belongsTo(DeviceMemory other) {
        return device == other;
    }

    /** Throws {@link IllegalStateException} after close. */
    public void requireOpen() {
        device.requireOpen();
        if (closed.get()) {
            throw new IllegalStateException(
                    "the slab of layer " + spec.layer() + " heads " + spec.heads() + " is closed");
        }
    }

    /** Stores the keys and values of one head for the tokens {@code fromRow .. toRow-1} of an append to come. */
    public void store(int index, Matrix k, Matrix v, SlotRuns targets, long fromRow, long toRow, Workspace workspace) {
        int column = spec.heads().get(index) * spec.shape().headDim();
        KvLayout layout = places.layout();
        for (long row = fromRow; row < toRow; ) {
            long end = Math.min(toRow, targets.runEnd(row));
            layout.store(k, v, column, row, end - row, heads[index], targets.slot(row), workspace);
            row = end;
        }
    }

    /** Completes an append whose rows were stored. */
    public void advance(long tokens) {
        if (slots instanceof ChosenSlots chosen) {
            long count = chosen.visible().count();
            for (int i = 0; i < heads.length; i++) {
                for (long t = 0; t < tokens; t++) {
                    positions(i, count + t, slots.length() + t);
                    if (isScored()) {
                        score(i, count + t, 0);
                    }
                }
            }
        }
        slots.advance(tokens);
        lastAppend = tokens;
        scoresTaken = false;
    }

    private boolean isScored() {
        return spec.retention().scores().isPresent();
    }

    /** Whether the last append's attention still has to be scored. */
    public boolean awaitsScores() {
        return isScored() && !scoresTaken && lastAppend > 0;
    }

    private void positions(int index, long slot, long value) {
        memory.segment().set(ValueLayout.JAVA_LONG, places.positions(index) + 8 * slot, value);
    }

    private long position(int index, long ordinal) {
        return slots instanceof ChosenSlots
                ? memory.segment().get(ValueLayout.JAVA_LONG, places.positions(index) + 8 * ordinal)
                : slots.position(ordinal);
    }

    private void score(int index, long slot, float value) {
        memory.segment().set(ValueLayout.JAVA_FLOAT, places.scores(index) + 4 * slot, value);
    }

    private float score(int index, long slot) {
        return memory.segment().get(ValueLayout.JAVA_FLOAT, places.scores(index) + 4 * slot);
    }

    /**
     * Takes in the attention probabilities of a chunk.
     *
     * @param sums for each head and visible slot the sum over the queries that count
     */
    public void addScores(float[][] sums, ScoreSpec score) {
        int count = Math.toIntExact(slots.visible().count());
        for (int i = 0; i < heads.length; i++) {
            for (int s = 0; s < count; s++) {
                score(i, s, score.accumulate() ? score(i, s) + sums[i][s] : sums[i][s]);
            }
        }
        ((ChosenSlots) slots).settle();
        scoresTaken = true;
    }

    private float meanScore(long slot) {
        double sum = 0;
        for (int i = 0; i < heads.length; i++) {
            sum += score(i, slot);
        }
        return (float) (sum / heads.length);
    }

    /** Evicts by position. */
    public void evict() {
        long before = slots.visible().count();
        slots.evict();
        if (slots.visible().count() < before) {
            lastAppend = 0;
        }
    }

    /** Positions, and scores if there are any, of what a head holds. */
    public SlotTable table(int index) {
        int count = Math.toIntExact(slots.visible().count());
        long[] positions = new long[count];
        Arrays.setAll(positions, ordinal -> position(index, ordinal));
        float[] scores = new float[isScored() ? count : 0];
        boolean shared =
                spec.retention().scores().filter(ScoreSpec::sharedAcrossHeads).isPresent();
        for (int s = 0; s < scores.length; s++) {
            scores[s] = shared ? meanScore(s) : score(index, s);
        }
        return new SlotTable(positions, scores);
    }

    /**
     * Keeps only the given slots.
     *
     * @throws IllegalArgumentException when the slab does not choose its slots, or the lists are not what it holds; the
     *     slab is unchanged then
     */
    public void compact(List<int[]> keep) {
        if (!(slots instanceof ChosenSlots chosen)) {
            throw new IllegalArgumentException("layer " + spec.layer() + " heads " + spec.heads() + " retain "
                    + spec.retention() + " and evict by position: they are not compacted");
        }
        requireSlots(keep, chosen.visible().count());
        for (int i = 0; i < heads.length; i++) {
            int[] kept = keep.get(i);
            for (int to = 0; to < kept.length; to++) {
                int from = kept[to];
                if (from != to) {
                    places.layout().move(heads[i], from, to);
                    positions(i, to, position(i, from));
                    if (isScored()) {
                        score(i, to, score(i, from));
                    }
                }
            }
        }
        if (keep.getFirst().length < chosen.visible().count()) {
            chosen.keep(keep.getFirst().length);
        }
        lastAppend = 0;
    }

    private void requireSlots(List<int[]> keep, long count) {
        if (keep.size() != heads.length) {
            throw new IllegalArgumentException(
                    keep.size() + " lists of slots to keep for the " + heads.length + " heads " + spec.heads());
        }
        for (int[] kept : keep) {
            if (kept.length != keep.getFirst().length) {
                throw new IllegalArgumentException(
                        "the heads keep different numbers of slots: " + kept.length + " and " + keep.getFirst().length);
            }
            for (int i = 0; i < kept.length; i++) {
                if (kept[i] < 0 || kept[i] >= count || i > 0 && kept[i] <= kept[i - 1]) {
                    throw new IllegalArgumentException("slots to keep ascend strictly within 0 to " + (count - 1)
                            + ", not " + Arrays.toString(kept));
                }
            }
        }
    }

    /** Takes back tokens; the length has been checked. */
    public void truncate(long length) {
        if (length < slots.length()) {
            slots.truncate(length);
            lastAppend = 0;
        }
    }

    /** Bytes of a snapshot now. */
    public long saveBytes() {
        return Snapshot.bytes(this, places, slots);
    }

    /** Writes a snapshot. */
    public void save(MemorySegment target) {
        Snapshot.save(this, memory.segment(), places, slots, target);
    }

    /**
     * Reads a snapshot.
     *
     * @throws IllegalArgumentException when it is not one of a slab with this spec; the slab is unchanged then
     */
    public void restore(MemorySegment source) {
        slots = Snapshot.restore(this, memory.segment(), places, source);
        lastAppend = 0;
    }

    @Override
    public void close() {
        if (closed.compareAndSet(false, true)) {
            device.release(this, memory);
        }
    }
}
