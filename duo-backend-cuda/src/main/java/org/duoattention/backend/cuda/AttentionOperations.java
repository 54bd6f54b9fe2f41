package org.duoattention.backend.cuda;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.cache.ScoreSpec;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.backend.cuda.slab.SlotRuns;
import org.duoattention.backend.cuda.slab.Slots;

/**
 * Queues attention: all slabs of a layer that share a format in one launch, and one more where parts are joined. How a launch is
 * cut depends on what the slabs were made for and on the number of queries, never on how much the slabs hold, so that a decode
 * step is the same sequence of launches at every length.
 */
final class AttentionOperations {
    private static final double LOG2_E = 1 / Math.log(2);

    private static final int MERGE_THREADS = 128;
    private static final int SCORE_THREADS = 128;

    /** Slots below which a part of its own is not worth it. */
    private static final long SLOTS_PER_SPLIT = 128;
    /** Memory for the results of parts, which no planner counts. */
    private static final long MOST_PARTIAL_BYTES = 64L << 20;

    private final CudaDevice device;

    AttentionOperations(CudaDevice device) {
        this.device = device;
    }

    /** Queues the attention of slabs whose arguments have been checked. */
    void attend(Launches launches, List<CudaSlab> slabs, CudaTensor q, float scale, PrefillMode mode, CudaTensor out) {
        Map<BlockFormat, List<CudaSlab>> byFormat = new LinkedHashMap<>();
        for (CudaSlab slab : slabs) {
            byFormat.computeIfAbsent(slab.spec().format(), format -> new ArrayList<>())
                    .add(slab);
        }
        byFormat.forEach((format, same) -> attendSame(launches, same, q, scale, mode, out));
    }

    private static SlabUnits units(List<CudaSlab> slabs, long tokens, PrefillMode mode) {
        SlabUnits units = new SlabUnits(slabs.stream().mapToInt(CudaSlab::heads).sum());
        for (CudaSlab slab : slabs) {
            Slots slots = slab.slots();
            SlotRuns runs = slots.visible();
            long window = mode == PrefillMode.WINDOW ? slots.windowStart(slots.length() - tokens) : Slots.NO_WINDOW;
            units.add(slab, runs, slots.always(), window, runs.count() - tokens + 1);
        }
        return units;
    }

    private void attendSame(
            Launches launches, List<CudaSlab> slabs, CudaTensor q, float scale, PrefillMode mode, CudaTensor out) {
        CudaSlab first = slabs.getFirst();
        ModelShape shape = first.spec().shape();
        int dim = shape.headDim();
        int group = shape.queryHeadsPerKvHead();
        int tokens = Math.toIntExact(q.spec().extent(0));
        long rows = (long) tokens * group;
        AttentionKernel kernel = AttentionKernel.choose(
                first.spec().format(),
                dim,
                rows,
                device.isExact(),
                device.info().sharedBytes());
        SlabUnits units = units(slabs, tokens, mode);
        long rowBlocks = Math.ceilDiv(rows, (long) kernel.rows());
        long partBytes = (long) Float.BYTES * units.count() * rows * (dim + 2);
        int splits = splits(slabs, rowBlocks, kernel.blocks(), MOST_PARTIAL_BYTES / partBytes);
        boolean merged = splits > 1 || kernel.alwaysMerges();
        // Before the variables: more scratch memory may need a flush.
        long partials = merged ? launches.scratch(splits * partBytes) : 0;
        long variables = units.variables(launches);
        long bits = Launches.bits(scaled(scale));
        long width = shape.queryWidth();
        long[] arguments = switch (kernel.form()) {
            case SIMT ->
                new long[] {
                    q.address(),
                    out.address(),
                    partials,
                    variables,
                    tokens,
                    width,
                    dim,
                    first.layout().quantGroup(),
                    group,
                    splits,
                    bits
                };
            case DECODE -> new long[] {q.address(), partials, variables, tokens, width, group, splits, bits};
            case PREFILL ->
                new long[] {q.address(), out.address(), partials, variables, tokens, width, group, splits, bits};
        };
        launches.launch(
                device.kernels().get(kernel.form().source(), kernel.name()),
                rowBlocks * splits,
                units.count(),
                1,
                kernel.threads(),
                kernel.sharedBytes(),
                arguments);
        if (merged) {
            launches.launch(
                    device.kernels().get("attention_merge", "merge_splits"),
                    rows,
                    units.count(),
                    1,
                    MERGE_THREADS,
                    0,
                    partials,
                    out.address(),
                    variables,
                    rows,
                    width,
                    dim,
                    group,
                    splits);
        }
    }

    private static float scaled(float scale) {
        return (float) (scale * LOG2_E);
    }

    /** Into how many parts the slots of a head are cut: so many that the heads that retain everything fill the device. */
    private int splits(List<CudaSlab> slabs, long rowBlocks, int resident, long most) {
        int heads = 0;
        int unbounded = 0;
        long capacity = 0;
        for (CudaSlab slab : slabs) {
            heads += slab.heads();
            unbounded += slab.spec().retention() instanceof Retention.All ? slab.heads() : 0;
            capacity = Math.max(capacity, slab.layout().slots());
        }
        long wanted = (long) device.info().multiprocessors() * resident;
        long blocks = rowBlocks * (unbounded > 0 ? unbounded : heads);
        long worthwhile = Math.min(most, capacity / SLOTS_PER_SPLIT);
        return (int) Math.clamp(Math.ceilDiv(wanted, blocks), 1, Math.max(1, worthwhile));
    }

    /** Queues the scoring of a slab's last append, whose queries these are. */
    void score(Launches launches, CudaSlab slab, CudaTensor q, float scale, PrefillMode mode) {
        ScoreSpec spec = slab.spec().retention().scores().orElseThrow();
        ModelShape shape = slab.spec().shape();
        int group = shape.queryHeadsPerKvHead();
        int tokens = Math.toIntExact(q.spec().extent(0));
        int counted = Math.min(tokens, spec.trailingQueries());
        long rows = (long) counted * group;
        SlabUnits units = units(List.of(slab), tokens, mode);
        long statistics = launches.scratch(8L * units.count() * rows);
        long variables = units.variables(launches);
        String suffix = SlabOperations.suffix(slab.spec().format());
        launches.launch(
                device.kernels().get("attention_scores", "score_rows_" + suffix),
                rows,
                units.count(),
                1,
                SCORE_THREADS,
                0,
                q.address(),
                statistics,
                variables,
                tokens - counted,
                shape.queryWidth(),
                shape.headDim(),
                slab.layout().quantGroup(),
                group,
                Launches.bits(scaled(scale)));
        launches.launch(
                device.kernels().get("attention_scores", "score_slots_" + suffix),
                Math.ceilDiv(slab.layout().slots(), (long) SCORE_THREADS),
                units.count(),
                1,
                SCORE_THREADS,
                0,
                q.address(),
                statistics,
                variables,
                tokens - counted,
                rows,
                shape.queryWidth(),
                shape.headDim(),
                slab.layout().quantGroup(),
                group,
                spec.accumulate() ? 1 : 0,
                Launches.bits(scaled(scale)));
    }
}
