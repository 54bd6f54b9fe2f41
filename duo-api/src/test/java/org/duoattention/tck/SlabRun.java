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
    private double[] keyErrors = new double[0];
    private double[] valueErrors = new double[0];
    /** Whether random keys and values of quantised slabs are such that quantising loses nothing. */
    boolean exact = true;

    private boolean lossy;

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
        fork.keyErrors = keyErrors;
        fork.valueErrors = valueErrors;
        fork.exact = exact;
        fork.lossy = lossy;
        fork.magnitude = magnitude;
        return fork;
    }

    double[] randomRows(int tokens, int width) {
        return rig.random(DType.F32, tokens * width, magnitude);
    }

    /** Appends random tokens. */
    void append(int tokens) {
        append(randomCacheRows(tokens), randomCacheRows(tokens));
    }

    private double[] randomCacheRows(int tokens) {
        if (!exact || !(spec.format() instanceof BlockFormat.Grouped format)) {
            return randomRows(tokens, shape.kvWidth());
        }
        // Codes from the smallest to the largest, offset and scale with few bits: these are what quantising finds.
        double[] rows = new double[tokens * shape.kvWidth()];
        for (int from = 0; from < rows.length; from += format.group()) {
            double scale = Math.scalb(1 + rig.random.nextInt(8), -11) * magnitude;
            double offset = Math.scalb(rig.random.nextInt(-64, 64), -6) * magnitude;
            int low = rig.random.nextInt(format.group());
            int high = (low + 1 + rig.random.nextInt(format.group() - 1)) % format.group();
            for (int i = 0; i < format.group(); i++) {
                int code =
                        i == low ? 0 : i == high ? format.largestCode() : rig.random.nextInt(format.largestCode() + 1);
                rows[from + i] = offset + code * scale;
            }
        }
        return rows;
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
        lossy |= !exact;
        double[] exactErrors = new double[k.length];
        keyErrors = concatenated(keyErrors, exact ? exactErrors : errors(k));
        valueErrors = concatenated(valueErrors, exact ? exactErrors : errors(v));
        keys = concatenated(keys, stored(k));
        values = concatenated(values, stored(v));
    }

    private static org.duoattention.api.tensor.TensorSpec rows(int tokens, int width) {
        return org.duoattention.api.tensor.TensorSpec.of(DType.F32, tokens, width);
    }

    private static double[] concatenated(double[] history, double[] rows) {
        double[] all = Arrays.copyOf(history, history.length + rows.length);
        System.arraycopy(rows, 0, all, history.length, rows.length);
        return all;
    }

    /** What the oracle works with: dense slabs round exactly so; quantised ones are allowed their errors instead. */
    private double[] stored(double[] rows) {
        return spec.format() instanceof BlockFormat.Dense ? StoredRow.of(spec.format(), rows) : rows;
    }

    private double[] errors(double[] rows) {
        return StoredRow.errors(spec.format(), rows);
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
        int elements = (int) length * shape.kvWidth();
        keys = Arrays.copyOf(keys, elements);
        values = Arrays.copyOf(values, elements);
        keyErrors = Arrays.copyOf(keyErrors, elements);
        valueErrors = Arrays.copyOf(valueErrors, elements);
    }

    MemorySegment save() {
        MemorySegment target = rig.arena.allocate(rig.stream.saveBytes(slab));
        rig.stream.save(slab, target);
        rig.stream.synchronize();
        return target;
    }

    /** The oracle's output for the last chunk. Columns of other heads hold the sentinel. */
    Expected expected(double[] q) {
        double[] bounds = new double[q.length];
        double[] querySizes = Numbers.absolute(q);
        double[] keySizes = Numbers.absolute(keys);
        double[] valueSizes = Numbers.absolute(values);
        Sizes[] sizes = new Sizes[shape.kvHeads()];
        for (int head : spec.heads().stream().toArray()) {
            sizes[head] = new Sizes(
                    columns(keySizes, head), rows(valueSizes, head), columns(keyErrors, head), rows(valueErrors, head));
        }
        double[] out = OracleMath.attention(
                shape,
                spec.heads(),
                q,
                keys,
                values,
                chunkStart,
                scale,
                visibility,
                (t, head, p) -> bound(querySizes, sizes[head / shape.queryHeadsPerKvHead()], t, head, p, bounds));
        int dim = shape.headDim();
        for (int row = 0; row < q.length; row += dim) {
            if (!spec.heads().contains(row % shape.queryWidth() / dim / shape.queryHeadsPerKvHead())) {
                Arrays.fill(out, row, row + dim, Rig.SENTINEL);
            }
        }
        return new Expected(out, bounds);
    }

    /** The absolute values of one head's history and what they may be off by; of values the rows, of keys the columns. */
    private record Sizes(double[][] keys, double[][] values, double[][] keyErrors, double[][] valueErrors) {}

    private double[][] columns(double[] matrix, int head) {
        return OracleMath.columns(matrix, shape.kvWidth(), head * shape.headDim(), shape.headDim());
    }

    private double[][] rows(double[] matrix, int head) {
        return OracleMath.rows(matrix, shape.kvWidth(), head * shape.headDim(), shape.headDim());
    }

    private void bound(double[] querySizes, Sizes sizes, int t, int queryHead, double[] p, double[] bounds) {
        int dim = shape.headDim();
        int head = queryHead / shape.queryHeadsPerKvHead();
        int row = t * shape.queryWidth() + queryHead * dim;
        // Offset and scaled code, which cancel, may have this beyond the value that they add up to.
        double times = spec.format() instanceof BlockFormat.Dense ? 1 : 2;
        double more = spec.format() instanceof BlockFormat.Dense ? 0 : 2 * magnitude;
        int end = p.length;
        while (!visibility.sees(head, chunkStart + t, end - 1)) {
            end--;
        }
        double querySize = 0;
        double[] sums = new double[end];
        double[] shifts = new double[end];
        for (int i = 0; i < dim; i++) {
            querySize += querySizes[row + i];
            OracleMath.addScaled(sums, querySizes[row + i], sizes.keys[i], end);
            if (lossy) {
                OracleMath.addScaled(shifts, querySizes[row + i], sizes.keyErrors[i], end);
            }
        }
        int slots = 0;
        double seen = 0;
        double largestSum = 0;
        double largestShift = 0;
        double[] size = new double[dim];
        double[] shift = new double[dim];
        for (int j = 0; j < end; j++) {
            if (visibility.sees(head, chunkStart + t, j)) {
                slots++;
                seen += p[j];
                largestSum = Math.max(largestSum, scale * (times * sums[j] + more * querySize));
                largestShift = Math.max(largestShift, scale * shifts[j]);
                OracleMath.addScaled(size, times * p[j], sizes.values[j], dim);
                if (lossy) {
                    OracleMath.addScaled(shift, p[j], sizes.valueErrors[j], dim);
                }
            }
        }
        double factor = ErrorBounds.probabilities(slots, dim, largestSum, operandRounding);
        double moved = Math.expm1(2 * largestShift);
        for (int i = 0; i < dim; i++) {
            bounds[row + i] = (size[i] + more * seen) * (factor + moved) + shift[i] * (1 + moved) + 0x1p-120;
        }
    }

    /** The probabilities that one query gives every position of the history; 0 for unseen ones. */
    double[] probabilities(double[] q, int t, int queryHead) {
        int dim = shape.headDim();
        int head = queryHead / shape.queryHeadsPerKvHead();
        int query = t * shape.queryWidth() + queryHead * dim;
        return OracleMath.softmax(
                OracleMath.logits(q, query, columns(keys, head), scale, head, chunkStart + t, visibility));
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

    /** Quantised formats whose groups divide heads of 64. */
    static List<BlockFormat> quantizedFormats() {
        return List.of(
                new BlockFormat.Grouped(8, 64, true, DType.F16),
                new BlockFormat.Grouped(8, 32, true, DType.F16),
                new BlockFormat.Grouped(4, 64, true, DType.F16),
                new BlockFormat.Grouped(4, 32, true, DType.F16));
    }
}
