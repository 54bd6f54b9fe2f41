package org.duoattention.backend.cpu.device;

import static org.duoattention.backend.cpu.device.Arguments.apart;
import static org.duoattention.backend.cpu.device.Arguments.illegal;
import static org.duoattention.backend.cpu.device.Arguments.sameOrApart;
import static org.duoattention.backend.cpu.device.Arguments.sameShape;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Gradients;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Projection;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.cache.ScoreSpec;
import org.duoattention.api.cache.SlotTable;
import org.duoattention.api.model.ModelShape;
import org.duoattention.backend.cpu.kernel.AttentionTask;
import org.duoattention.backend.cpu.kernel.CpuKernels;
import org.duoattention.backend.cpu.kernel.Matrix;
import org.duoattention.backend.cpu.kernel.PackedInput;
import org.duoattention.backend.cpu.kernel.SlotRuns;
import org.duoattention.backend.cpu.kernel.Weight;
import org.duoattention.backend.cpu.kernel.Workspace;
import org.duoattention.backend.cpu.memory.CpuSlab;
import org.duoattention.backend.cpu.memory.CpuTensor;
import org.duoattention.backend.cpu.memory.DeviceMemory;
import org.duoattention.backend.cpu.memory.Slots;
import org.jspecify.annotations.Nullable;

/** Checks arguments, cuts operations into parts, and runs them on the threads of the device before returning. */
final class CpuStream implements ComputeStream {
    private final String backendId;
    private final CpuKernels kernels;
    private final DeviceMemory memory;
    private final Workers workers;
    private final Arguments arguments;
    private final Consumer<CpuStream> onClose;
    private final Thread owner = Thread.currentThread();
    private final RopeTables ropeTables;
    private final Workspace partials = new Workspace();
    private final PackedInput packed = new PackedInput();
    private final LargestOfRow largest;
    private final CpuGradients gradients;
    private boolean closed;

    CpuStream(String backendId, CpuKernels kernels, DeviceMemory memory, Workers workers, Consumer<CpuStream> onClose) {
        this.backendId = backendId;
        this.kernels = kernels;
        this.memory = memory;
        this.workers = workers;
        this.onClose = onClose;
        this.arguments = new Arguments(memory);
        this.ropeTables = new RopeTables(workers);
        this.largest = new LargestOfRow(kernels);
        this.gradients = new CpuGradients(this::requireOpen, kernels, arguments, workers, ropeTables, packed, partials);
    }

    private void requireOwner() {
        if (Thread.currentThread() != owner) {
            throw new WrongThreadException(
                    "a stream of " + backendId + " belongs to " + owner + ", not to " + Thread.currentThread());
        }
    }

    private void requireOpen() {
        requireOwner();
        memory.requireOpen();
        if (closed) {
            throw new IllegalStateException("the stream is closed");
        }
    }

    @Override
    public void upload(MemorySegment source, Tensor target) {
        requireOpen();
        CpuTensor tensor = arguments.target(target);
        Arguments.hostBytes(source, tensor);
        Matrix matrix = tensor.matrix();
        MemorySegment.copy(source, 0, matrix.segment(), matrix.offset(), source.byteSize());
    }

    @Override
    public void download(Tensor source, MemorySegment target) {
        requireOpen();
        CpuTensor tensor = arguments.tensor(source);
        Arguments.hostBytes(target, tensor);
        Matrix matrix = tensor.matrix();
        MemorySegment.copy(matrix.segment(), matrix.offset(), target, 0, target.byteSize());
    }

    @Override
    public void synchronize() {
        requireOpen();
    }

    @Override
    public void embed(Tensor table, int[] ids, Tensor out) {
        requireOpen();
        CpuTensor rows = arguments.linearWeight("the table", table);
        CpuTensor result = arguments.activationTarget("the output", out);
        if (!(rows.spec().rank() == 2
                && result.spec().extent(0) == ids.length
                && result.spec().extent(1) == rows.spec().extent(1))) {
            throw illegal(
                    "the rows of " + ids.length + " ids in the table " + rows.spec() + " do not give " + result.spec());
        }
        for (int id : ids) {
            if (!(id >= 0 && id < rows.spec().extent(0))) {
                throw illegal("token id " + id + " is not in the table " + rows.spec() + ": ids are 0 to "
                        + (rows.spec().extent(0) - 1));
            }
        }
        apart(result, rows);
        workers.rows(ids.length, rows.spec().extent(1), (from, to, workspace) -> {
            for (long t = from; t < to; t++) {
                int id = ids[(int) t];
                kernels.widen(rows.weight(), id, id + 1L, result.matrix(), t, workspace);
            }
        });
    }

    @Override
    public void rmsNorm(Tensor x, Tensor weight, float epsilon, Tensor out) {
        requireOpen();
        CpuTensor input = arguments.activation("x", x);
        CpuTensor scale = arguments.weight("the weight", weight);
        CpuTensor result = arguments.activationTarget("the output", out);
        requireNorm(input, scale, result);
        norm(input, scale, epsilon, result);
    }

    private static void requireNorm(CpuTensor x, CpuTensor weight, CpuTensor out) {
        sameShape(x, out);
        long group = weight.spec().elements();
        if (!(weight.spec().rank() == 1 && group > 0 && x.spec().extent(1) % group == 0)) {
            throw illegal("the weight " + weight.spec() + " does not divide the rows of " + x.spec());
        }
        sameOrApart(out, x);
        apart(out, weight);
    }

    private void norm(CpuTensor x, CpuTensor weight, float epsilon, CpuTensor out) {
        workers.rows(
                x.spec().extent(0),
                x.spec().extent(1),
                (from, to, workspace) ->
                        kernels.rmsNorm(x.matrix(), weight.matrix(), epsilon, out.matrix(), from, to, workspace));
    }

    @Override
    public void linear(Tensor x, Projection projection) {
        linears(x, List.of(projection));
    }

    @Override
    public void linears(Tensor x, List<Projection> projections) {
        requireOpen();
        CpuTensor input = arguments.activation("x", x);
        int count = projections.size();
        int block = kernels.linearRowBlock();
        // Parts of all projections are numbered through: those of projection p begin at first[p].
        int[] first = new int[count + 1];
        for (int p = 0; p < count; p++) {
            Projection projection = projections.get(p);
            arguments.projection(input, projection);
            long outs = projection.weight().spec().rows();
            first[p + 1] =
                    first[p] + workers.parts(outs, block, outs * input.spec().elements());
        }
        Matrix x0 = input.matrix();
        int most = kernels.linearTokens(x0.columns());
        for (long row = 0; row < x0.rows(); row += most) {
            linears(x0.slice(row, Math.min(most, x0.rows() - row)), row, projections, first);
        }
    }

    /** The projections of rows {@code row ..} of the input, which are {@code x}: all that take it in one form, then the next. */
    private void linears(Matrix x, long row, List<Projection> projections, int[] first) {
        int tokens = Math.toIntExact(x.rows());
        int count = projections.size();
        int done = 0;
        while (done < count) {
            int form = kernels.inputForm(tokens, weight(projections.get(done)));
            int end = done + 1;
            while (end < count && kernels.inputForm(tokens, weight(projections.get(end))) == form) {
                end++;
            }
            if (form != 0) {
                pack(form, x);
            }
            products(x, row, projections, first, done, end);
            done = end;
        }
    }

    private void pack(int form, Matrix x) {
        int tokens = Math.toIntExact(x.rows());
        kernels.reserve(form, tokens, x.columns(), packed);
        int shares = workers.parts(tokens, 1, (long) tokens * x.columns());
        if (shares == 1) {
            kernels.pack(form, x, 0, 1, packed);
        } else {
            workers.run(shares, (share, workspace) -> kernels.pack(form, x, share, shares, packed));
        }
    }

    /** The projections {@code begin .. end-1}. */
    private void products(Matrix x, long row, List<Projection> projections, int[] first, int begin, int end) {
        int tokens = Math.toIntExact(x.rows());
        int block = kernels.linearRowBlock();
        workers.run(first[end] - first[begin], (index, workspace) -> {
            int part = first[begin] + index;
            int p = begin;
            while (part >= first[p + 1]) {
                p++;
            }
            Projection projection = projections.get(p);
            Weight weight = weight(projection);
            int parts = first[p + 1] - first[p];
            long from = Workers.cut(weight.rows(), block, parts, part - first[p]);
            long to = Workers.cut(weight.rows(), block, parts, part - first[p] + 1);
            if (from < to) {
                Matrix out = ((CpuTensor) projection.out()).matrix().slice(row, tokens);
                kernels.linear(x, packed, weight, bias(projection), out, from, to, workspace);
            }
        });
    }

    private static Weight weight(Projection projection) {
        return ((CpuTensor) projection.weight()).weight();
    }

    private static @Nullable Matrix bias(Projection projection) {
        return projection.bias().isPresent() ? ((CpuTensor) projection.bias().get()).matrix() : null;
    }

    @Override
    public void rope(Tensor x, int headDim, Rope rope, long position) {
        requireOpen();
        CpuTensor input = arguments.activationTarget("x", x);
        Arguments.rotation(input, headDim, rope, position);
        RopeTables.Table table = ropeTables.get(rope, position, input.spec().extent(0));
        workers.rows(
                input.spec().extent(0),
                input.spec().extent(1),
                (from, to, workspace) -> kernels.rope(input.matrix(), headDim, table.cos(), table.sin(), from, to));
    }

    @Override
    public void swiGlu(Tensor gate, Tensor up, Tensor out) {
        requireOpen();
        CpuTensor g = arguments.activation("gate", gate);
        CpuTensor u = arguments.activation("up", up);
        CpuTensor result = arguments.activationTarget("the output", out);
        sameShape(g, u);
        sameShape(g, result);
        sameOrApart(result, g);
        sameOrApart(result, u);
        workers.rows(
                g.spec().elements(),
                8,
                (from, to, workspace) -> kernels.swiGlu(g.matrix(), u.matrix(), result.matrix(), from, to));
    }

    @Override
    public void add(Tensor target, Tensor x) {
        requireOpen();
        CpuTensor sum = arguments.activationTarget("the target", target);
        CpuTensor input = arguments.activation("x", x);
        sameShape(sum, input);
        sameOrApart(sum, input);
        workers.rows(
                sum.spec().elements(), 1, (from, to, workspace) -> kernels.add(sum.matrix(), input.matrix(), from, to));
    }

    @Override
    public void addRmsNorm(Tensor target, Tensor x, Tensor weight, float epsilon, Tensor out) {
        requireOpen();
        CpuTensor sum = arguments.activationTarget("the target", target);
        CpuTensor input = arguments.activation("x", x);
        CpuTensor scale = arguments.weight("the weight", weight);
        CpuTensor result = arguments.activationTarget("the output", out);
        sameShape(sum, input);
        sameOrApart(sum, input);
        requireNorm(sum, scale, result);
        apart(result, input);
        long width = sum.spec().extent(1);
        // One row after the other, so that the sum is normalised while it is in cache.
        workers.rows(sum.spec().extent(0), 2 * width, (from, to, workspace) -> {
            for (long row = from; row < to; row++) {
                kernels.add(sum.matrix(), input.matrix(), row * width, (row + 1) * width);
                kernels.rmsNorm(sum.matrix(), scale.matrix(), epsilon, result.matrix(), row, row + 1, workspace);
            }
        });
    }

    @Override
    public void topK(Tensor x, int k, MemorySegment indices, MemorySegment values) {
        requireOpen();
        CpuTensor input = arguments.activation("x", x);
        Arguments.topK(input, k, indices, values);
        for (long row = 0; row < input.spec().extent(0); row++) {
            largest.of(input.matrix(), row, k);
            largest.write(indices, values, row * k);
        }
    }

    @Override
    public void append(Slab slab, Tensor k, Tensor v) {
        requireOpen();
        CpuSlab cache = arguments.slab(slab);
        CpuTensor keys = arguments.activation("k", k);
        CpuTensor values = arguments.activation("v", v);
        sameShape(keys, values);
        ModelShape shape = cache.spec().shape();
        if (keys.spec().extent(1) != shape.kvWidth()) {
            throw illegal(
                    "keys " + keys.spec() + " do not have " + shape.kvHeads() + " x " + shape.headDim() + " columns");
        }
        long tokens = keys.spec().extent(0);
        if (tokens > cache.spec().maxChunk()) {
            throw illegal(tokens + " tokens exceed the largest chunk of "
                    + cache.spec().maxChunk() + " in " + keys.spec());
        }
        cache.slots().requireRoom(tokens);
        SlotRuns targets = cache.slots().next(tokens);
        int heads = cache.heads();
        workers.rows(heads * tokens, shape.headDim(), (from, to, workspace) -> {
            for (long at = from; at < to; ) {
                long head = at / tokens;
                long end = Math.min(to, (head + 1) * tokens);
                cache.store(
                        (int) head,
                        keys.matrix(),
                        values.matrix(),
                        targets,
                        at - head * tokens,
                        end - head * tokens,
                        workspace);
                at = end;
            }
        });
        cache.advance(tokens);
    }

    @Override
    public void attend(Slab slab, Tensor q, float scale, PrefillMode mode, Tensor out) {
        attendAll(List.of(slab), q, scale, mode, out);
    }

    @Override
    public void attendAll(List<Slab> slabs, Tensor q, float scale, PrefillMode mode, Tensor out) {
        requireOpen();
        CpuTensor queries = arguments.activation("q", q);
        CpuTensor result = arguments.activationTarget("the output", out);
        sameShape(queries, result);
        apart(result, queries);
        long tokens = queries.spec().extent(0);
        List<AttentionTask> tasks = new ArrayList<>();
        for (Slab slab : slabs) {
            CpuSlab cache = arguments.slab(slab);
            requireQueries(cache, queries);
            Slots slots = cache.slots();
            SlotRuns runs = slots.visible();
            long window =
                    mode == PrefillMode.WINDOW ? slots.windowStart(slots.length() - tokens) : AttentionTask.NO_WINDOW;
            ModelShape shape = cache.spec().shape();
            int group = shape.queryHeadsPerKvHead();
            for (int i = 0; i < cache.heads(); i++) {
                int column = cache.spec().heads().get(i) * group * shape.headDim();
                tasks.add(new AttentionTask(
                        cache.head(i),
                        runs,
                        slots.always(),
                        window,
                        runs.count() - tokens + 1,
                        queries.matrix(),
                        column,
                        group,
                        scale,
                        result.matrix()));
            }
        }
        new AttentionRun(kernels, workers, tokens, tasks).run(partials);
        int next = 0;
        for (Slab slab : slabs) {
            CpuSlab cache = (CpuSlab) slab;
            score(cache, tokens, tasks.subList(next, next + cache.heads()));
            next += cache.heads();
        }
    }

    private static void requireQueries(CpuSlab slab, CpuTensor q) {
        ModelShape shape = slab.spec().shape();
        if (q.spec().extent(1) != shape.queryWidth()) {
            throw illegal("queries " + q.spec() + " do not have " + shape.attentionHeads() + " x " + shape.headDim()
                    + " columns");
        }
        if (q.spec().extent(0) != slab.lastAppend()) {
            throw illegal("queries " + q.spec() + " do not match the slab's last append of " + slab.lastAppend()
                    + " tokens: append, attend, then evict");
        }
    }

    /** Where a retention asks for scores, takes in those of the last queries of the chunk. */
    private void score(CpuSlab slab, long tokens, List<AttentionTask> tasks) {
        if (!slab.awaitsScores()) {
            return;
        }
        ScoreSpec score = slab.spec().retention().scores().orElseThrow();
        float[][] sums =
                new float[slab.heads()][Math.toIntExact(slab.slots().visible().count())];
        long from = Math.max(0, tokens - score.trailingQueries());
        workers.run(sums.length, (i, workspace) -> kernels.scores(tasks.get(i), from, tokens, sums[i]));
        slab.addScores(sums, score);
    }

    @Override
    public void evict(Slab slab) {
        requireOpen();
        arguments.slab(slab).evict();
    }

    @Override
    public SlotTable slots(Slab slab, int head) {
        requireOpen();
        CpuSlab cache = arguments.slab(slab);
        for (int i = 0; i < cache.heads(); i++) {
            if (cache.spec().heads().get(i) == head) {
                return cache.table(i);
            }
        }
        throw new IllegalArgumentException(
                "head " + head + " is not one of " + cache.spec().heads());
    }

    @Override
    public void compact(Slab slab, List<int[]> keep) {
        requireOpen();
        arguments.slab(slab).compact(keep);
    }

    @Override
    public void truncate(Slab slab, long length) {
        requireOpen();
        CpuSlab cache = arguments.slab(slab);
        if (!(length >= cache.minLength() && length <= cache.length())) {
            throw illegal("a slab of " + cache.length() + " tokens can go back to " + cache.minLength()
                    + " at most, not to " + length);
        }
        cache.truncate(length);
    }

    @Override
    public long saveBytes(Slab slab) {
        requireOpen();
        return arguments.slab(slab).saveBytes();
    }

    @Override
    public void save(Slab slab, MemorySegment target) {
        requireOpen();
        CpuSlab cache = arguments.slab(slab);
        Arguments.hostBytes(target, cache.saveBytes(), "the snapshot");
        cache.save(target);
    }

    @Override
    public void restore(Slab slab, MemorySegment source) {
        requireOpen();
        arguments.slab(slab).restore(source);
    }

    @Override
    public Gradients gradients() {
        requireOpen();
        return gradients;
    }

    @Override
    public void close() {
        requireOwner();
        if (!closed) {
            closed = true;
            onClose.accept(this);
            release();
        }
    }

    /** Frees the scratch memory. */
    void release() {
        ropeTables.close();
        partials.close();
    }
}
