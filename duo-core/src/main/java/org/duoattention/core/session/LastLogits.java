package org.duoattention.core.session;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.BitSet;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.core.model.Decoder;
import org.duoattention.core.prefill.StreamScheduler;
import org.duoattention.core.prefill.StreamScheduler.Kind;
import org.duoattention.core.sample.Sampler;
import org.jspecify.annotations.Nullable;

/**
 * The logits after a session's last token: a row on the device, and on the host what was asked of it, the highest few or all.
 * A step of a generation asks for as many as its {@link Sampler} looks at; whoever wants the others later gets them as long as
 * no further token was fed. Those after the last prefill are kept on the host, because a rollback may bring them back.
 *
 * <p>Owns its row on the device. Used by the session's thread, and by the stream's while that one waits for it.
 */
final class LastLogits implements AutoCloseable {
    /** Logits that nobody asks for. */
    static final int NONE = -1;
    /** Logits that stay on the device until somebody asks. */
    static final int ON_DEVICE = 0;
    /** All of them, on the host. */
    static final int ALL = Integer.MAX_VALUE;

    private final Tensor row;
    private final Arena arena;
    /** Logits on their way from the device. */
    private final MemorySegment hostRow;

    private final MemorySegment hostIds;
    private final MemorySegment hostHighest;

    private boolean onDevice;
    private float @Nullable [] all;
    private boolean hasHighest;
    private int[] ids = {};
    private float[] highest = {};
    /** An array that nothing refers to. */
    private float @Nullable [] spare;

    private float @Nullable [] kept;
    private int keptLength = -1;

    /**
     * Takes a row on the device.
     *
     * @throws org.duoattention.api.backend.DeviceMemoryException when there is no memory
     */
    LastLogits(Device device, ModelShape shape) {
        this.arena = Arena.ofShared();
        try {
            this.hostRow = arena.allocate(ValueLayout.JAVA_FLOAT, shape.vocabSize());
            this.hostIds = arena.allocate(ValueLayout.JAVA_INT, ComputeStream.MAX_TOP_K);
            this.hostHighest = arena.allocate(ValueLayout.JAVA_FLOAT, ComputeStream.MAX_TOP_K);
            this.row = device.allocate(spec(shape));
        } catch (RuntimeException | Error e) {
            arena.close();
            throw e;
        }
    }

    /** Bytes on a device. */
    static long bytes(Device device, ModelShape shape) {
        return device.bytes(spec(shape));
    }

    private static TensorSpec spec(ModelShape shape) {
        return TensorSpec.of(DType.F32, 1, shape.vocabSize());
    }

    private int vocabulary() {
        return (int) row.spec().rowElements();
    }

    /** What to ask for when a sampler chooses the next token. */
    int wanted(Sampler sampler) {
        int count = sampler.highest(vocabulary());
        return count == 0 || count > ComputeStream.MAX_TOP_K ? ALL : count;
    }

    /**
     * Computes the logits of the last token of the chunk that was fed last; on the stream's thread. Waits for them.
     *
     * @param tokens length of the chunk
     * @param wanted the number of the highest ones that are asked for, or {@link #ON_DEVICE} or {@link #ALL}
     */
    void compute(ComputeStream stream, Decoder decoder, int tokens, int wanted) {
        decoder.logits(stream, tokens - 1, row);
        onDevice = true;
        if (wanted == ALL) {
            download(stream);
        } else if (wanted > 0) {
            long bytes = (long) Integer.BYTES * wanted;
            stream.topK(row, wanted, hostIds.asSlice(0, bytes), hostHighest.asSlice(0, bytes));
            stream.synchronize();
            if (ids.length != wanted) {
                ids = new int[wanted];
                highest = new float[wanted];
            }
            MemorySegment.copy(hostIds, ValueLayout.JAVA_INT, 0, ids, 0, wanted);
            MemorySegment.copy(hostHighest, ValueLayout.JAVA_FLOAT, 0, highest, 0, wanted);
            hasHighest = true;
        }
    }

    private float[] download(ComputeStream stream) {
        stream.download(row, hostRow);
        stream.synchronize();
        float[] target = spare != null ? spare : new float[vocabulary()];
        spare = null;
        MemorySegment.copy(hostRow, ValueLayout.JAVA_FLOAT, 0, target, 0, target.length);
        all = target;
        return target;
    }

    /** Whether there are any. */
    boolean arePresent() {
        return onDevice || all != null;
    }

    /** All of them, there being any; from the device if need be. Valid until the next token is fed. */
    float[] all(StreamScheduler scheduler) {
        if (all != null) {
            return all;
        }
        if (!onDevice) {
            throw new IllegalStateException("no logits");
        }
        return scheduler.run(Kind.DECODE, this::download);
    }

    /** The next token. */
    int choose(Sampler sampler, BitSet seen, StreamScheduler scheduler) {
        if (all == null && hasHighest && wanted(sampler) <= ids.length) {
            return sampler.next(ids, highest);
        }
        return sampler.next(all(scheduler), seen);
    }

    /** Another token is being fed. */
    void forget() {
        if (all != null && all != kept) {
            spare = all;
        }
        all = null;
        hasHighest = false;
        onDevice = false;
    }

    /** Keeps those that are there, all on the host, for when a session of this length is taken back to it. */
    void keep(int length) {
        kept = all;
        keptLength = length;
    }

    /** The session was taken back to fewer tokens than were fed. */
    void truncated(int length) {
        forget();
        if (length == keptLength) {
            all = kept;
        } else if (length < keptLength) {
            // The next tokens may differ, even when there are as many of them again.
            keptLength = -1;
            kept = null;
        }
    }

    /** Those of a saved session of this length, which may lack them. */
    void restore(float @Nullable [] saved, int length) {
        forget();
        all = saved;
        keep(length);
    }

    @Override
    public void close() {
        row.close();
        arena.close();
    }
}
