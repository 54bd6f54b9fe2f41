package org.duoattention.tck;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Gradients;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Projection;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.cache.SlotTable;
import org.duoattention.api.model.HeadSet;

/**
 * Watches how a caller uses a stream. Checked are:
 *
 * <ul>
 *   <li>the thread; that tensors and slabs come from the stream's device and are open, views' owners too; shapes;
 *   <li>that outputs overlap no input, except where the operation allows it, and are not adopted;
 *   <li>that an append precedes each attend, with nothing between them that moves slots, and that at most {@code
 *       maxChunk} tokens are appended between two evictions or compactions;
 *   <li>that {@code attendAll} is given every KV head once;
 *   <li>that the targets of downloads, selections and saves are alive at the next synchronize. Until then they hold NaN.
 * </ul>
 */
final class AssertingStream implements ComputeStream {
    /** What arrives in host memory at the next synchronize. */
    private record Delivery(Arena arena, MemorySegment source, MemorySegment target) {}

    private final AssertingDevice device;
    private final ComputeStream delegate;
    private final Thread owner = Thread.currentThread();
    private final List<Delivery> deliveries = new ArrayList<>();
    private AssertingGradients gradients;
    private boolean closed;

    AssertingStream(AssertingDevice device, ComputeStream delegate) {
        this.device = device;
        this.delegate = delegate;
    }

    // Transfers

    @Override
    public void upload(MemorySegment source, Tensor target) {
        checkUse();
        AssertingTensor to = output(target);
        shapes(() -> StreamShapes.transfer(source.byteSize(), to.spec()));
        delegate.upload(source, to.delegate());
    }

    @Override
    public void download(Tensor source, MemorySegment target) {
        checkUse();
        AssertingTensor from = input(source);
        shapes(() -> StreamShapes.transfer(target.byteSize(), from.spec()));
        delegate.download(from.delegate(), staged(target));
    }

    private MemorySegment staged(MemorySegment target) {
        Arena arena = Arena.ofConfined();
        MemorySegment stage = arena.allocate(target.byteSize(), 16);
        target.fill((byte) 0xff);
        deliveries.add(new Delivery(arena, stage, target));
        return stage;
    }

    @Override
    public void synchronize() {
        checkUse();
        delegate.synchronize();
        deliver();
    }

    private void deliver() {
        for (Delivery delivery : deliveries) {
            device.check(delivery.target.scope().isAlive(), "the target of a download lives until synchronize");
            delivery.target.copyFrom(delivery.source);
            delivery.arena.close();
        }
        deliveries.clear();
    }

    // Dense operations

    @Override
    public void embed(Tensor table, int[] ids, Tensor out) {
        checkUse();
        AssertingTensor from = input(table);
        AssertingTensor to = output(out);
        shapes(() -> StreamShapes.embed(from.spec(), ids.length, to.spec()));
        apart(to, from);
        delegate.embed(from.delegate(), ids, to.delegate());
    }

    @Override
    public void rmsNorm(Tensor x, Tensor weight, float epsilon, Tensor out) {
        checkUse();
        AssertingTensor from = input(x);
        AssertingTensor scale = input(weight);
        AssertingTensor to = output(out);
        shapes(() -> StreamShapes.rmsNorm(from.spec(), scale.spec(), to.spec()));
        apartOrSame(to, from);
        apart(to, scale);
        delegate.rmsNorm(from.delegate(), scale.delegate(), epsilon, to.delegate());
    }

    @Override
    public void linear(Tensor x, Projection projection) {
        checkUse();
        AssertingTensor from = input(x);
        delegate.linear(from.delegate(), checked(from, projection));
    }

    @Override
    public void linears(Tensor x, List<Projection> projections) {
        checkUse();
        AssertingTensor from = input(x);
        List<Projection> inner = projections.stream()
                .map(projection -> checked(from, projection))
                .toList();
        for (Projection a : projections) {
            for (Projection b : projections) {
                device.check(
                        a == b || !input(a.out()).overlaps(input(b.out())), "the outputs of linears do not overlap");
            }
        }
        delegate.linears(from.delegate(), inner);
    }

    private Projection checked(AssertingTensor x, Projection projection) {
        AssertingTensor weight = input(projection.weight());
        Optional<AssertingTensor> bias = projection.bias().map(this::input);
        AssertingTensor out = output(projection.out());
        shapes(() -> StreamShapes.linear(x.spec(), weight.spec(), bias.map(AssertingTensor::spec), out.spec()));
        apart(out, x);
        apart(out, weight);
        bias.ifPresent(b -> apart(out, b));
        return new Projection(weight.delegate(), bias.map(AssertingTensor::delegate), out.delegate());
    }

    @Override
    public void rope(Tensor x, int headDim, Rope rope, long position) {
        checkUse();
        AssertingTensor target = output(x);
        shapes(() -> StreamShapes.rope(target.spec(), headDim, rope, position));
        delegate.rope(target.delegate(), headDim, rope, position);
    }

    @Override
    public void swiGlu(Tensor gate, Tensor up, Tensor out) {
        checkUse();
        AssertingTensor a = input(gate);
        AssertingTensor b = input(up);
        AssertingTensor to = output(out);
        shapes(() -> StreamShapes.same("swiGlu", a.spec(), b.spec(), to.spec()));
        apartOrSame(to, a);
        apartOrSame(to, b);
        delegate.swiGlu(a.delegate(), b.delegate(), to.delegate());
    }

    @Override
    public void add(Tensor target, Tensor x) {
        checkUse();
        AssertingTensor to = output(target);
        AssertingTensor from = input(x);
        shapes(() -> StreamShapes.same("add", to.spec(), from.spec()));
        apart(to, from);
        delegate.add(to.delegate(), from.delegate());
    }

    @Override
    public void addRmsNorm(Tensor target, Tensor x, Tensor weight, float epsilon, Tensor out) {
        checkUse();
        AssertingTensor sum = output(target);
        AssertingTensor from = input(x);
        AssertingTensor scale = input(weight);
        AssertingTensor to = output(out);
        shapes(() -> StreamShapes.same("add", sum.spec(), from.spec()));
        shapes(() -> StreamShapes.rmsNorm(sum.spec(), scale.spec(), to.spec()));
        apart(sum, from);
        apart(to, sum);
        apart(to, from);
        apart(to, scale);
        delegate.addRmsNorm(sum.delegate(), from.delegate(), scale.delegate(), epsilon, to.delegate());
    }

    @Override
    public void topK(Tensor x, int k, MemorySegment indices, MemorySegment values) {
        checkUse();
        AssertingTensor from = input(x);
        shapes(() -> StreamShapes.topK(from.spec(), k, indices.byteSize(), values.byteSize()));
        delegate.topK(from.delegate(), k, staged(indices), staged(values));
    }

    // Cache and attention

    @Override
    public void append(Slab slab, Tensor k, Tensor v) {
        checkUse();
        AssertingSlab to = slab(slab);
        AssertingTensor keys = input(k);
        AssertingTensor values = input(v);
        shapes(() -> StreamShapes.append(to.spec(), keys.spec(), values.spec()));
        long tokens = keys.spec().rows();
        device.check(
                to.spec().retention() instanceof Retention.All
                        || to.sinceEviction + tokens <= to.spec().maxChunk(),
                "at most " + to.spec().maxChunk() + " tokens between two evictions of the " + to + ", not "
                        + (to.sinceEviction + tokens));
        delegate.append(to.delegate(), keys.delegate(), values.delegate());
        to.lastAppend = tokens;
        to.sinceEviction += tokens;
    }

    @Override
    public void attend(Slab slab, Tensor q, float scale, PrefillMode mode, Tensor out) {
        checkUse();
        AssertingSlab from = attendable(slab, q, out);
        delegate.attend(
                from.delegate(), input(q).delegate(), scale, mode, output(out).delegate());
    }

    @Override
    public void attendAll(List<Slab> slabs, Tensor q, float scale, PrefillMode mode, Tensor out) {
        checkUse();
        List<Slab> inner = new ArrayList<>();
        List<Integer> heads = new ArrayList<>();
        for (Slab slab : slabs) {
            inner.add(attendable(slab, q, out).delegate());
            slab.spec().heads().stream().forEach(heads::add);
        }
        int kvHeads = slabs.isEmpty() ? 0 : slabs.get(0).spec().shape().kvHeads();
        HeadSet union = HeadSet.of(heads.stream().mapToInt(Integer::intValue).toArray());
        device.check(
                !slabs.isEmpty() && heads.size() == kvHeads && union.equals(HeadSet.range(kvHeads)),
                "attendAll gets every KV head of the layer once, not " + heads);
        delegate.attendAll(inner, input(q).delegate(), scale, mode, output(out).delegate());
    }

    private AssertingSlab attendable(Slab slab, Tensor q, Tensor out) {
        AssertingSlab from = slab(slab);
        AssertingTensor queries = input(q);
        AssertingTensor to = output(out);
        device.check(from.lastAppend > 0, "an append right before attend of the " + from);
        shapes(() -> StreamShapes.attend(from.spec(), from.lastAppend, queries.spec(), to.spec()));
        apart(to, queries);
        return from;
    }

    @Override
    public void evict(Slab slab) {
        checkUse();
        AssertingSlab target = slab(slab);
        delegate.evict(target.delegate());
        target.sinceEviction = 0;
        target.lastAppend = target.spec().retention() instanceof Retention.All ? target.lastAppend : 0;
    }

    @Override
    public SlotTable slots(Slab slab, int head) {
        checkUse();
        AssertingSlab from = slab(slab);
        device.check(from.spec().heads().contains(head), "head " + head + " is one of the " + from);
        return delegate.slots(from.delegate(), head);
    }

    @Override
    public void compact(Slab slab, List<int[]> keep) {
        checkUse();
        AssertingSlab target = slab(slab);
        delegate.compact(target.delegate(), keep);
        target.sinceEviction = 0;
        target.lastAppend = 0;
    }

    @Override
    public void truncate(Slab slab, long length) {
        checkUse();
        AssertingSlab target = slab(slab);
        long removed = target.length() - length;
        delegate.truncate(target.delegate(), length);
        target.sinceEviction = Math.max(0, target.sinceEviction - removed);
        target.lastAppend = removed == 0 ? target.lastAppend : 0;
    }

    @Override
    public long saveBytes(Slab slab) {
        checkUse();
        return delegate.saveBytes(slab(slab).delegate());
    }

    @Override
    public void save(Slab slab, MemorySegment target) {
        checkUse();
        AssertingSlab from = slab(slab);
        device.check(target.byteSize() == delegate.saveBytes(from.delegate()), "save is given exactly saveBytes bytes");
        delegate.save(from.delegate(), staged(target));
    }

    @Override
    public void restore(Slab slab, MemorySegment source) {
        checkUse();
        AssertingSlab target = slab(slab);
        delegate.restore(target.delegate(), source);
        target.sinceEviction = 0;
        target.lastAppend = 0;
    }

    @Override
    public Gradients gradients() {
        checkUse();
        if (gradients == null) {
            gradients = new AssertingGradients(this, delegate.gradients());
        }
        return gradients;
    }

    @Override
    public void close() {
        device.check(Thread.currentThread() == owner, "a stream is closed by the thread that opened it");
        delegate.close();
        if (!closed) {
            closed = true;
            device.released(this);
            deliver();
        }
    }

    // Checks

    void checkUse() {
        device.check(Thread.currentThread() == owner, "a stream is used by the thread that opened it");
        device.check(!closed, "a stream is used before it is closed");
        device.checkOpen();
    }

    void shapes(Runnable check) {
        try {
            check.run();
        } catch (IllegalArgumentException e) {
            device.check(false, "shapes that fit: " + e.getMessage());
        }
    }

    AssertingTensor input(Tensor tensor) {
        device.check(
                tensor instanceof AssertingTensor t && t.belongsTo(device),
                "a tensor of the stream's device: " + tensor);
        AssertingTensor asserting = (AssertingTensor) tensor;
        asserting.checkUsable();
        return asserting;
    }

    AssertingTensor output(Tensor tensor) {
        AssertingTensor asserting = input(tensor);
        device.check(!asserting.isAdopted(), "an output that was not adopted: " + tensor);
        return asserting;
    }

    private AssertingSlab slab(Slab slab) {
        device.check(slab instanceof AssertingSlab s && s.belongsTo(device), "a slab of the stream's device: " + slab);
        AssertingSlab asserting = (AssertingSlab) slab;
        asserting.checkUsable();
        return asserting;
    }

    void apart(AssertingTensor output, AssertingTensor input) {
        device.check(!output.overlaps(input), "the output " + output + " does not overlap the input " + input);
    }

    void apartOrSame(AssertingTensor output, AssertingTensor input) {
        device.check(
                !output.overlaps(input) || output.isSameAs(input),
                "the output " + output + " is the input " + input + ", or apart from it");
    }

    @Override
    public String toString() {
        return "stream of " + owner;
    }
}
