package org.duoattention.tck;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;

/**
 * Drives a slab with random tokens and compares every attention with the oracle, which sees the whole history and a
 * visibility rule instead of a cache.
 */
final class SlabRun {
    private final Rig rig;
    private final PrefillMode mode;
    private final double operandRounding;
    final Slab slab;
    final SlabSpec spec;
    final ModelShape shape;
    final float scale;
    double magnitude = 1;
    OracleMath.Visibility visibility;
    long chunkStart;
    private double[] keys = new double[0];
    private double[] values = new double[0];

    SlabRun(Rig rig, SlabSpec spec, PrefillMode mode, double operandRounding) {
        this.rig = rig;
        this.slab = rig.slab(spec);
        this.spec = spec;
        this.mode = mode;
        this.operandRounding = operandRounding;
        this.shape = spec.shape();
        this.scale = (float) (1 / Math.sqrt(shape.headDim()));
        this.visibility = (head, i, j) -> OracleMath.visible(spec.retention(), mode, chunkStart, i, j);
    }

    /** Another slab with the same history, to be restored into. */
    SlabRun fork() {
        SlabRun fork = new SlabRun(rig, spec, mode, operandRounding);
        fork.keys = keys;
        fork.values = values;
        fork.magnitude = magnitude;
        return fork;
    }

    DType dtype() {
        return ((BlockFormat.Dense) spec.format()).dtype();
    }

    double[] randomRows(int tokens, int width) {
        return rig.random(DType.F32, tokens * width, magnitude);
    }

    /** Appends random tokens. */
    void append(int tokens) {
        append(randomRows(tokens, shape.kvWidth()), randomRows(tokens, shape.kvWidth()));
    }

    /** Appends the given tokens. */
    void append(double[] k, double[] v) {
        int tokens = k.length / shape.kvWidth();
        try (Tensor keyRows = rig.device.allocate(rows(tokens, shape.kvWidth()));
                Tensor valueRows = rig.device.allocate(rows(tokens, shape.kvWidth()))) {
            rig.stream.upload(rig.host(DType.F32, k), keyRows);
            rig.stream.upload(rig.host(DType.F32, v), valueRows);
            rig.stream.append(slab, keyRows, valueRows);
        }
        chunkStart = keys.length / shape.kvWidth();
        keys = concatenated(keys, k);
        values = concatenated(values, v);
    }

    private static org.duoattention.api.tensor.TensorSpec rows(int tokens, int width) {
        return org.duoattention.api.tensor.TensorSpec.of(DType.F32, tokens, width);
    }

    private double[] concatenated(double[] history, double[] rows) {
        double[] all = Arrays.copyOf(history, history.length + rows.length);
        for (int i = 0; i < rows.length; i++) {
            all[history.length + i] = HalfPrecision.round(dtype(), rows[i]);
        }
        return all;
    }

    /** Attends with random queries and compares; returns the whole output. */
    double[] attend(String what) {
        int tokens = (int) (slab.length() - chunkStart);
        return attend(what, randomRows(tokens, shape.queryWidth()));
    }

    /** Attends with the given queries and compares; returns the whole output. */
    double[] attend(String what, double[] q) {
        int tokens = q.length / shape.queryWidth();
        String label = what + ", " + tokens + " tokens at " + chunkStart + ", " + describe();
        Rig.Guarded out = rig.guarded(tokens, shape.queryWidth());
        rig.stream.attend(slab, rig.activation(q, tokens, shape.queryWidth()), scale, mode, out.rows());
        double[] actual = out.numbers(label);
        expected(q).check(label, actual);
        return actual;
    }

    /** Appends and attends; streaming slabs then evict. */
    double[] chunk(String what, int tokens) {
        append(tokens);
        double[] out = attend(what);
        if (spec.retention() instanceof Retention.SinkAndRecent) {
            rig.stream.evict(slab);
        }
        return out;
    }

    void truncate(long length) {
        rig.stream.truncate(slab, length);
        keys = Arrays.copyOf(keys, (int) length * shape.kvWidth());
        values = Arrays.copyOf(values, (int) length * shape.kvWidth());
    }

    MemorySegment save() {
        MemorySegment target = rig.arena.allocate(rig.stream.saveBytes(slab));
        rig.stream.save(slab, target);
        rig.stream.synchronize();
        return target;
    }

    /** The oracle's output for the last chunk. Columns of other heads hold the sentinel. */
    Expected expected(double[] q) {
        double[] out = OracleMath.attention(shape, spec.heads(), q, keys, values, chunkStart, scale, visibility);
        double[] bounds = new double[out.length];
        int dim = shape.headDim();
        for (int row = 0; row < q.length; row += dim) {
            int queryHead = row % shape.queryWidth() / dim;
            if (spec.heads().contains(queryHead / shape.queryHeadsPerKvHead())) {
                bound(q, row / shape.queryWidth(), queryHead, bounds);
            } else {
                Arrays.fill(out, row, row + dim, Rig.SENTINEL);
            }
        }
        return new Expected(out, bounds);
    }

    private void bound(double[] q, int t, int queryHead, double[] bounds) {
        int dim = shape.headDim();
        int head = queryHead / shape.queryHeadsPerKvHead();
        int row = t * shape.queryWidth() + queryHead * dim;
        double[] p = probabilities(q, t, queryHead);
        double[] absoluteQuery = Numbers.absolute(Arrays.copyOfRange(q, row, row + dim));
        int slots = 0;
        double largestSum = 0;
        for (int j = 0; j < p.length; j++) {
            if (visibility.sees(head, chunkStart + t, j)) {
                slots++;
                int at = j * shape.kvWidth() + head * dim;
                double sum = 0;
                for (int i = 0; i < dim; i++) {
                    sum += absoluteQuery[i] * Math.abs(keys[at + i]);
                }
                for (int i = 0; i < dim; i++) {
                    bounds[row + i] += p[j] * Math.abs(values[at + i]);
                }
                largestSum = Math.max(largestSum, scale * sum);
            }
        }
        double factor = ErrorBounds.probabilities(slots, dim, largestSum, operandRounding);
        for (int i = 0; i < dim; i++) {
            bounds[row + i] = bounds[row + i] * factor + 0x1p-120;
        }
    }

    /** The probabilities that one query gives every position of the history; 0 for unseen ones. */
    double[] probabilities(double[] q, int t, int queryHead) {
        int dim = shape.headDim();
        int head = queryHead / shape.queryHeadsPerKvHead();
        double[] logits = new double[keys.length / shape.kvWidth()];
        for (int j = 0; j < logits.length; j++) {
            logits[j] = visibility.sees(head, chunkStart + t, j)
                    ? scale
                            * OracleMath.dot(
                                    q,
                                    t * shape.queryWidth() + queryHead * dim,
                                    keys,
                                    j * shape.kvWidth() + head * dim,
                                    dim)
                    : Double.NEGATIVE_INFINITY;
        }
        return OracleMath.softmax(logits);
    }

    String describe() {
        return "attend " + spec.retention() + " " + mode + ", head dim " + shape.headDim() + ", "
                + shape.queryHeadsPerKvHead() + " query heads per KV head, heads " + spec.heads() + " of "
                + shape.kvHeads() + ", " + spec.format().label() + " cache";
    }

    /** A one-layer model. */
    static ModelShape shape(int kvHeads, int group, int headDim) {
        return new ModelShape(1, 16, kvHeads * group, kvHeads, headDim, 16, 16);
    }

    /** The formats that every backend stores keys and values in. */
    static List<BlockFormat> formats() {
        return List.of(BlockFormat.F32, BlockFormat.F16, BlockFormat.BF16);
    }
}
