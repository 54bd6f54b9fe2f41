package org.duoattention.tck;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Gradients;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Projection;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.cache.ScoreSpec;
import org.duoattention.api.cache.SlotTable;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.TensorSpec;

/**
 * The stream of {@link OpaqueDevice}. A call checks its arguments, moves the counters and queues the work. The work is
 * done by {@link #synchronize} and {@link #slots}; what downloads and saves wrote reaches the host at {@link
 * #synchronize} only, and until then their targets hold NaN.
 */
final class OpaqueStream implements ComputeStream {
    private final OpaqueDevice device;
    private final Thread owner = Thread.currentThread();
    private final Queue<Runnable> queue = new ArrayDeque<>();
    private final Queue<Runnable> deliveries = new ArrayDeque<>();
    private final OpaqueGradients gradients = new OpaqueGradients(this);
    private boolean closed;

    OpaqueStream(OpaqueDevice device) {
        this.device = device;
    }

    // Transfers

    @Override
    public void upload(MemorySegment source, Tensor target) {
        checkUse();
        OpaqueTensor to = output(target);
        TensorSpec spec = to.spec();
        StreamShapes.transfer(source.byteSize(), spec);
        double[] numbers = new double[to.size()];
        for (int i = 0; i < numbers.length; i++) {
            numbers[i] = HostNumbers.get(spec.dtype(), source, i);
        }
        queue.add(() -> to.write(numbers));
    }

    @Override
    public void download(Tensor source, MemorySegment target) {
        checkUse();
        OpaqueTensor from = dense(source);
        TensorSpec spec = from.spec();
        StreamShapes.transfer(target.byteSize(), spec);
        target.fill((byte) 0xff);
        queue.add(() -> {
            double[] numbers = from.read().clone();
            deliveries.add(() -> {
                for (int i = 0; i < numbers.length; i++) {
                    HostNumbers.set(spec.dtype(), target, i, numbers[i]);
                }
            });
        });
    }

    @Override
    public void synchronize() {
        checkUse();
        drain();
        while (!deliveries.isEmpty()) {
            deliveries.remove().run();
        }
    }

    private void drain() {
        while (!queue.isEmpty()) {
            queue.remove().run();
        }
    }

    // Dense operations

    @Override
    public void embed(Tensor table, int[] ids, Tensor out) {
        checkUse();
        OpaqueTensor from = input(table);
        OpaqueTensor to = output(out);
        StreamShapes.embed(from.spec(), ids.length, to.spec());
        int width = (int) from.spec().extent(1);
        for (int id : ids) {
            StreamShapes.check(id >= 0 && id < from.spec().rows(), "token id " + id + " is not in " + from.spec());
        }
        int[] copy = ids.clone();
        queue.add(() -> to.write(OracleMath.embed(from.read(), width, copy)));
    }

    @Override
    public void rmsNorm(Tensor x, Tensor weight, float epsilon, Tensor out) {
        checkUse();
        OpaqueTensor from = dense(x);
        OpaqueTensor scale = dense(weight);
        OpaqueTensor to = output(out);
        StreamShapes.rmsNorm(from.spec(), scale.spec(), to.spec());
        queue.add(() -> to.write(OracleMath.rmsNorm(from.read(), scale.read(), epsilon)));
    }

    @Override
    public void linear(Tensor x, Projection projection) {
        checkUse();
        OpaqueTensor from = dense(x);
        OpaqueTensor weight = input(projection.weight());
        Optional<OpaqueTensor> bias = projection.bias().map(this::dense);
        OpaqueTensor to = output(projection.out());
        StreamShapes.linear(from.spec(), weight.spec(), bias.map(OpaqueTensor::spec), to.spec());
        int outputs = (int) weight.spec().rows();
        int in = (int) from.spec().extent(1);
        queue.add(() -> to.write(OracleMath.linear(
                from.read(), weight.read(), bias.map(OpaqueTensor::read).orElse(new double[0]), in, outputs)));
    }

    @Override
    public void rope(Tensor x, int headDim, Rope rope, long position) {
        checkUse();
        OpaqueTensor target = output(x);
        StreamShapes.rope(target.spec(), headDim, rope, position);
        int width = (int) target.spec().extent(1);
        queue.add(() -> target.write(OracleMath.rope(target.read(), width, headDim, rope, position)));
    }

    @Override
    public void swiGlu(Tensor gate, Tensor up, Tensor out) {
        checkUse();
        OpaqueTensor a = dense(gate);
        OpaqueTensor b = dense(up);
        OpaqueTensor to = output(out);
        StreamShapes.same("swiGlu", a.spec(), b.spec(), to.spec());
        queue.add(() -> to.write(OracleMath.swiGlu(a.read(), b.read())));
    }

    @Override
    public void add(Tensor target, Tensor x) {
        checkUse();
        OpaqueTensor to = output(target);
        OpaqueTensor from = dense(x);
        StreamShapes.same("add", to.spec(), from.spec());
        queue.add(() -> to.write(OracleMath.add(to.read(), from.read())));
    }

    @Override
    public void topK(Tensor x, int k, MemorySegment indices, MemorySegment values) {
        checkUse();
        OpaqueTensor from = dense(x);
        StreamShapes.topK(from.spec(), k, indices.byteSize(), values.byteSize());
        int width = (int) from.spec().extent(1);
        indices.fill((byte) 0xff);
        values.fill((byte) 0xff);
        queue.add(() -> {
            double[] numbers = from.read().clone();
            deliveries.add(() -> {
                for (int row = 0; row < numbers.length / width; row++) {
                    int[] columns = OracleMath.topK(numbers, row * width, width, k);
                    for (int rank = 0; rank < k; rank++) {
                        int at = row * k + rank;
                        HostNumbers.setInt(indices, at, columns[rank]);
                        HostNumbers.set(DType.F32, values, at, numbers[row * width + columns[rank]]);
                    }
                }
            });
        });
    }

    // Cache and attention

    @Override
    public void append(Slab slab, Tensor k, Tensor v) {
        checkUse();
        OpaqueSlab to = slab(slab);
        OpaqueTensor keys = dense(k);
        OpaqueTensor values = dense(v);
        SlabSpec spec = to.spec();
        StreamShapes.append(spec, keys.spec(), values.spec());
        long tokens = keys.spec().rows();
        long start = to.counters.length();
        if (start + tokens > spec.maxTokens() || to.counters.held() + tokens > spec.slotCapacity()) {
            throw new IllegalStateException("no room for " + tokens + " tokens after " + start + " in " + spec);
        }
        to.appended((int) tokens);
        queue.add(() -> appendNow(to, keys.read(), values.read(), start));
    }

    private static void appendNow(OpaqueSlab slab, double[] keys, double[] values, long start) {
        ModelShape shape = slab.spec().shape();
        int dim = shape.headDim();
        for (int t = 0; t < keys.length / shape.kvWidth(); t++) {
            for (int i = 0; i < slab.slots.size(); i++) {
                int at = t * shape.kvWidth() + slab.spec().heads().get(i) * dim;
                slab.slots
                        .get(i)
                        .add(new OpaqueSlab.Slot(start + t, slab.stored(keys, at), slab.stored(values, at), 0));
            }
        }
    }

    @Override
    public void attend(Slab slab, Tensor q, float scale, PrefillMode mode, Tensor out) {
        checkUse();
        OpaqueSlab from = slab(slab);
        OpaqueTensor queries = dense(q);
        OpaqueTensor to = output(out);
        if (mode == PrefillMode.WINDOW) {
            device.require(Capability.WINDOW_PREFILL);
        }
        int tokens = from.counters.lastAppend();
        StreamShapes.attend(from.spec(), tokens, queries.spec(), to.spec());
        long start = from.counters.length() - tokens;
        long retainedFrom = from.counters.retainedFrom();
        queue.add(() -> attendNow(from, queries.read(), scale, mode, to, start, retainedFrom));
    }

    private static void attendNow(
            OpaqueSlab slab,
            double[] q,
            double scale,
            PrefillMode mode,
            OpaqueTensor out,
            long start,
            long retainedFrom) {
        ModelShape shape = slab.spec().shape();
        int dim = shape.headDim();
        int tokens = q.length / shape.queryWidth();
        int group = shape.queryHeadsPerKvHead();
        Optional<ScoreSpec> spec = slab.spec().retention().scores();
        if (spec.isPresent() && !spec.get().accumulate()) {
            slab.slots.forEach(head -> head.forEach(slot -> slot.score = 0));
        }
        for (int i = 0; i < slab.slots.size(); i++) {
            List<OpaqueSlab.Slot> slots = slab.slots.get(i);
            for (int t = 0; t < tokens; t++) {
                boolean counts = spec.isPresent() && t >= tokens - spec.get().trailingQueries();
                for (int g = 0; g < group; g++) {
                    int at = t * shape.queryWidth() + (slab.spec().heads().get(i) * group + g) * dim;
                    double[] logits = new double[slots.size()];
                    for (int s = 0; s < logits.length; s++) {
                        logits[s] = sees(slab.spec().retention(), mode, start + t, slots.get(s).position, retainedFrom)
                                ? scale * OracleMath.dot(q, at, slots.get(s).key, 0, dim)
                                : Double.NEGATIVE_INFINITY;
                    }
                    double[] p = OracleMath.softmax(logits);
                    double[] sum = new double[dim];
                    for (int s = 0; s < p.length; s++) {
                        if (p[s] != 0) {
                            OracleMath.addScaled(sum, p[s], slots.get(s).value, dim);
                        }
                    }
                    out.write(at, sum);
                    for (int s = 0; s < p.length && counts; s++) {
                        slots.get(s).score += p[s];
                    }
                }
            }
        }
    }

    private static boolean sees(Retention retention, PrefillMode mode, long i, long j, long retainedFrom) {
        if (j > i) {
            return false;
        }
        return !(retention instanceof Retention.SinkAndRecent streaming)
                || j < streaming.sinks()
                || (mode == PrefillMode.WINDOW ? i - j <= streaming.recent() : j >= retainedFrom);
    }

    @Override
    public void evict(Slab slab) {
        checkUse();
        OpaqueSlab target = slab(slab);
        switch (target.spec().retention()) {
            case Retention.All all -> {}
            case Retention.SinkAndRecent retention -> {
                target.evicted(retention, target.spec().undo());
                long heldFrom = target.counters.heldFrom();
                queue.add(() -> target.slots.forEach(
                        head -> head.removeIf(slot -> slot.position >= retention.sinks() && slot.position < heldFrom)));
            }
            default -> throw new IllegalArgumentException(target.spec().retention() + " is compacted, not evicted");
        }
    }

    @Override
    public SlotTable slots(Slab slab, int head) {
        checkUse();
        OpaqueSlab from = slab(slab);
        StreamShapes.check(
                from.spec().heads().contains(head),
                "head " + head + " is not among " + from.spec().heads());
        drain();
        Retention retention = from.spec().retention();
        int sinks = retention instanceof Retention.SinkAndRecent streaming ? streaming.sinks() : 0;
        int index = (int) from.spec().heads().stream().filter(h -> h < head).count();
        List<OpaqueSlab.Slot> visible = new ArrayList<>();
        List<Integer> indices = new ArrayList<>();
        List<OpaqueSlab.Slot> slots = from.slots.get(index);
        for (int s = 0; s < slots.size(); s++) {
            long position = slots.get(s).position;
            if (position < sinks || position >= from.counters.retainedFrom()) {
                visible.add(slots.get(s));
                indices.add(s);
            }
        }
        long[] positions = visible.stream().mapToLong(slot -> slot.position).toArray();
        float[] scores = new float[retention.scores().isPresent() ? positions.length : 0];
        for (int s = 0; s < scores.length; s++) {
            int at = indices.get(s);
            scores[s] = (float)
                    (retention.scores().orElseThrow().sharedAcrossHeads()
                            ? from.slots.stream()
                                    .mapToDouble(h -> h.get(at).score)
                                    .average()
                                    .orElseThrow()
                            : visible.get(s).score);
        }
        return new SlotTable(positions, scores);
    }

    @Override
    public void compact(Slab slab, List<int[]> keep) {
        checkUse();
        OpaqueSlab target = slab(slab);
        Retention retention = target.spec().retention();
        StreamShapes.check(
                retention instanceof Retention.TopScored || retention instanceof Retention.Custom,
                retention + " is evicted, not compacted");
        StreamShapes.check(
                keep.size() == target.slots.size(),
                keep.size() + " lists of slots for heads " + target.spec().heads());
        List<int[]> copy = keep.stream().map(int[]::clone).toList();
        for (int[] indices : copy) {
            StreamShapes.check(indices.length == copy.get(0).length, "every head keeps the same number of slots");
            for (int i = 0; i < indices.length; i++) {
                long least = i == 0 ? 0 : indices[i - 1] + 1L;
                StreamShapes.check(
                        indices[i] >= least && indices[i] < target.counters.held(),
                        "slot " + indices[i] + " of " + target.counters.held() + " is out of order or range");
            }
        }
        target.compacted(copy.get(0).length);
        queue.add(() -> {
            for (int i = 0; i < copy.size(); i++) {
                List<OpaqueSlab.Slot> kept = new ArrayList<>();
                for (int index : copy.get(i)) {
                    kept.add(target.slots.get(i).get(index));
                }
                target.slots.set(i, kept);
            }
        });
    }

    @Override
    public void truncate(Slab slab, long length) {
        checkUse();
        OpaqueSlab target = slab(slab);
        device.require(Capability.ROLLBACK);
        StreamShapes.check(
                length >= target.minLength() && length <= target.length(),
                "truncate to " + length + ", possible is " + target.minLength() + " to " + target.length());
        if (length == target.length()) {
            return;
        }
        target.truncated(length);
        queue.add(() -> target.slots.forEach(head -> head.removeIf(slot -> slot.position >= length)));
    }

    @Override
    public long saveBytes(Slab slab) {
        checkUse();
        OpaqueSlab from = slab(slab);
        device.require(Capability.SNAPSHOT);
        return OpaqueSnapshot.bytes(from);
    }

    @Override
    public void save(Slab slab, MemorySegment target) {
        checkUse();
        OpaqueSlab from = slab(slab);
        device.require(Capability.SNAPSHOT);
        long bytes = OpaqueSnapshot.bytes(from);
        StreamShapes.check(
                target.byteSize() == bytes, "a snapshot of " + bytes + " bytes to " + target.byteSize() + " bytes");
        StreamShapes.check(!target.isReadOnly(), "a snapshot to a read-only segment");
        target.fill((byte) 0xff);
        OpaqueSlab.Counters counters = from.counters;
        queue.add(() -> {
            byte[] snapshot = OpaqueSnapshot.write(from, counters);
            deliveries.add(() -> MemorySegment.copy(snapshot, 0, target, ValueLayout.JAVA_BYTE, 0, snapshot.length));
        });
    }

    @Override
    public void restore(Slab slab, MemorySegment source) {
        checkUse();
        OpaqueSlab target = slab(slab);
        device.require(Capability.SNAPSHOT);
        OpaqueSnapshot snapshot = OpaqueSnapshot.read(target.spec(), source.toArray(ValueLayout.JAVA_BYTE));
        target.counters = snapshot.counters();
        queue.add(() -> {
            target.slots.clear();
            target.slots.addAll(snapshot.slots());
        });
    }

    @Override
    public Gradients gradients() {
        device.require(Capability.GRADIENTS);
        checkUse();
        return gradients;
    }

    @Override
    public void close() {
        if (closed) {
            return;
        }
        checkThread();
        if (!device.isClosed()) {
            synchronize();
        }
        closed = true;
        device.released(this, 0);
    }

    // Checks

    void queue(Runnable work) {
        queue.add(work);
    }

    void checkUse() {
        checkThread();
        if (closed) {
            throw new IllegalStateException("the stream is closed");
        }
        device.checkOpen();
    }

    private void checkThread() {
        if (Thread.currentThread() != owner) {
            throw new WrongThreadException("the stream belongs to " + owner + ", not " + Thread.currentThread());
        }
    }

    OpaqueTensor input(Tensor tensor) {
        if (!(tensor instanceof OpaqueTensor opaque) || !opaque.belongsTo(device)) {
            throw new IllegalArgumentException("a tensor of another device: " + tensor);
        }
        opaque.checkOpen();
        return opaque;
    }

    OpaqueTensor dense(Tensor tensor) {
        OpaqueTensor opaque = input(tensor);
        StreamShapes.check(!opaque.isQuantized(), "a quantised tensor is no operand of this operation: " + tensor);
        return opaque;
    }

    OpaqueTensor output(Tensor tensor) {
        OpaqueTensor opaque = input(tensor);
        StreamShapes.check(!opaque.isReadOnly(), "an adopted tensor is read-only: " + tensor);
        return opaque;
    }

    private OpaqueSlab slab(Slab slab) {
        if (!(slab instanceof OpaqueSlab opaque) || !opaque.belongsTo(device)) {
            throw new IllegalArgumentException("a slab of another device: " + slab);
        }
        opaque.checkOpen();
        return opaque;
    }

    @Override
    public String toString() {
        return "stream of " + owner;
    }
}
