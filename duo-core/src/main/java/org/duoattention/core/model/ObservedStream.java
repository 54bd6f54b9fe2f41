package org.duoattention.core.model;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.List;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Gradients;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Projection;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.cache.SlotTable;

/**
 * A stream that shows the inputs of linear layers to an observer and otherwise does what the one below it does, in its
 * primitive operations. Slower than that one: every input is downloaded.
 *
 * <p>Used and closed by the thread that owns the stream below, which {@link #close} closes.
 */
public final class ObservedStream implements ComputeStream {
    private static final ValueLayout.OfFloat F32 = ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

    private final ComputeStream below;
    private final DecoderWeights weights;
    private final LinearInputs observer;

    /** A stream over another one for a decoder with given weights. */
    public ObservedStream(ComputeStream below, DecoderWeights weights, LinearInputs observer) {
        this.below = below;
        this.weights = weights;
        this.observer = observer;
    }

    @Override
    public void linear(Tensor x, Projection projection) {
        show(x, projection);
        below.linear(x, projection);
    }

    @Override
    public void linears(Tensor x, List<Projection> projections) {
        show(x, projections.getFirst());
        below.linears(x, projections);
    }

    private void show(Tensor x, Projection first) {
        weights.linearOf(first.weight()).ifPresent(name -> {
            int elements = Math.toIntExact(x.spec().elements());
            float[] values = new float[elements];
            try (Arena arena = Arena.ofShared()) {
                MemorySegment copy = arena.allocate(x.spec().byteSize(), Float.BYTES);
                below.download(x, copy);
                below.synchronize();
                MemorySegment.copy(copy, F32, 0, values, 0, elements);
            }
            observer.see(name, values, Math.toIntExact(x.spec().rows()));
        });
    }

    @Override
    public void upload(MemorySegment source, Tensor target) {
        below.upload(source, target);
    }

    @Override
    public void download(Tensor source, MemorySegment target) {
        below.download(source, target);
    }

    @Override
    public void synchronize() {
        below.synchronize();
    }

    @Override
    public void embed(Tensor table, int[] ids, Tensor out) {
        below.embed(table, ids, out);
    }

    @Override
    public void rmsNorm(Tensor x, Tensor weight, float epsilon, Tensor out) {
        below.rmsNorm(x, weight, epsilon, out);
    }

    @Override
    public void rope(Tensor x, int headDim, Rope rope, long position) {
        below.rope(x, headDim, rope, position);
    }

    @Override
    public void swiGlu(Tensor gate, Tensor up, Tensor out) {
        below.swiGlu(gate, up, out);
    }

    @Override
    public void add(Tensor target, Tensor x) {
        below.add(target, x);
    }

    @Override
    public void topK(Tensor x, int k, MemorySegment indices, MemorySegment values) {
        below.topK(x, k, indices, values);
    }

    @Override
    public void append(Slab slab, Tensor k, Tensor v) {
        below.append(slab, k, v);
    }

    @Override
    public void attend(Slab slab, Tensor q, float scale, PrefillMode mode, Tensor out) {
        below.attend(slab, q, scale, mode, out);
    }

    @Override
    public void evict(Slab slab) {
        below.evict(slab);
    }

    @Override
    public SlotTable slots(Slab slab, int head) {
        return below.slots(slab, head);
    }

    @Override
    public void compact(Slab slab, List<int[]> keep) {
        below.compact(slab, keep);
    }

    @Override
    public void truncate(Slab slab, long length) {
        below.truncate(slab, length);
    }

    @Override
    public long saveBytes(Slab slab) {
        return below.saveBytes(slab);
    }

    @Override
    public void save(Slab slab, MemorySegment target) {
        below.save(slab, target);
    }

    @Override
    public void restore(Slab slab, MemorySegment source) {
        below.restore(slab, source);
    }

    @Override
    public Gradients gradients() {
        return below.gradients();
    }

    @Override
    public void close() {
        below.close();
    }
}
