package org.duoattention.tck;

import java.util.List;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.cache.SlotTable;
import org.duoattention.api.model.ModelShape;
import org.duoattention.api.tensor.BlockFormat;

/** Wrong caches and attention. */
class AttentionMutantsTest extends Mutants {
    @Override
    void define() {
        stream(
                "forgets the scale",
                call -> {
                    if (call.is("attend", "attendAll")) {
                        call.arguments[2] = 1f;
                    }
                    return call.proceed();
                },
                "retrievalHeads",
                "attendAllIsEveryHeadOnce");
        stream("reads the wrong KV head", this::interleavedGroups, "retrievalHeads");
        stream(
                "writes columns of other heads",
                call -> {
                    Object result = call.proceed();
                    if (call.is("attend")) {
                        SlabSpec spec = call.<Slab>argument(0).spec();
                        ModelShape shape = spec.shape();
                        call.stream().synchronize();
                        for (int head = 0; head < shape.kvHeads(); head++) {
                            if (!spec.heads().contains(head)) {
                                int column = head * shape.queryHeadsPerKvHead() * shape.headDim();
                                ((OpaqueTensor) call.<Object>argument(4)).write(column, new double[] {0});
                            }
                        }
                    }
                    return result;
                },
                "onlyTheColumnsOfTheSlabsHeadsAreWritten");
        device(
                "ignores the sinks",
                retaining(r -> new Retention.SinkAndRecent(0, r.recent() + r.sinks())),
                "streamingHeads");
        device(
                "keeps one recent token more",
                retaining(r -> new Retention.SinkAndRecent(r.sinks(), r.recent() + 1)),
                "streamingHeads",
                "windowModeDoesNotDependOnChunks");
        device(
                "keeps one sink less",
                retaining(r -> new Retention.SinkAndRecent(Math.max(0, r.sinks() - 1), r.recent())),
                "streamingHeads",
                "windowModeDoesNotDependOnChunks");
        stream("sees evicted tokens", call -> call.is("evict") ? null : call.proceed(), "streamingHeads");
        stream("has no window", mode(PrefillMode.UPSTREAM), "streamingHeads", "windowModeDoesNotDependOnChunks");
        stream("has only a window", mode(PrefillMode.WINDOW), "streamingHeads");
        device("stores F32 instead of F16", storing(BlockFormat.F16, BlockFormat.F32), "retrievalHeads");
        device("stores BF16 instead of F16", storing(BlockFormat.F16, BlockFormat.BF16), "retrievalHeads");
        stream("cuts bfloat16 instead of rounding", this::cutKeysAndValues, "retrievalHeads");
        stream(
                "reports shifted positions",
                call -> {
                    Object result = call.proceed();
                    if (result instanceof SlotTable table) {
                        long[] positions = table.positions().clone();
                        for (int i = 0; i < positions.length; i++) {
                            positions[i]++;
                        }
                        return new SlotTable(positions, table.scores());
                    }
                    return result;
                },
                "retrievalHeadsDoNotDependOnChunks",
                "everyHeadKeepsItsOwnSlots");
        stream(
                "halves scores",
                call -> {
                    Object result = call.proceed();
                    if (result instanceof SlotTable table) {
                        float[] scores = table.scores().clone();
                        for (int i = 0; i < scores.length; i++) {
                            scores[i] /= 2;
                        }
                        return new SlotTable(table.positions(), scores);
                    }
                    return result;
                },
                "scoresSumTheProbabilities");
        stream(
                "compacts every head as the first",
                call -> {
                    if (call.is("compact")) {
                        List<int[]> keep = call.argument(1);
                        call.arguments[1] =
                                keep.stream().map(indices -> keep.get(0)).toList();
                    }
                    return call.proceed();
                },
                "everyHeadKeepsItsOwnSlots");
        stream(
                "takes back one token too few",
                call -> {
                    if (call.is("truncate") && call.<Long>argument(1) > 0) {
                        Slab slab = call.argument(0);
                        call.arguments[1] = Math.min(slab.length(), call.<Long>argument(1) + 1);
                    }
                    return call.proceed();
                },
                "retrievalHeadsGoBackToAnyLength",
                "streamingHeadsGoBackAfterEvictions");
        stream(
                "takes back what is gone",
                swallowing(IllegalArgumentException.class, "truncate"),
                "whatCannotBeTakenBackIsRefused");
        device(
                "has no undo margin",
                call -> {
                    if (call.is("allocate") && call.arguments[0] instanceof SlabSpec spec) {
                        call.arguments[0] = withUndo(spec, 0);
                    }
                    return call.proceed();
                },
                "streamingHeadsGoBackAfterEvictions");
        stream(
                "restores garbage",
                swallowing(IllegalArgumentException.class, "restore"),
                "whatIsNoSnapshotOfTheSpecIsRefused");
    }

    private interface Retain {
        Retention apply(Retention.SinkAndRecent retention);
    }

    private static Mutation retaining(Retain change) {
        return call -> {
            if (call.is("allocate")
                    && call.arguments[0] instanceof SlabSpec spec
                    && spec.retention() instanceof Retention.SinkAndRecent retention) {
                call.arguments[0] = new SlabSpec(
                        spec.shape(),
                        spec.layer(),
                        spec.heads(),
                        spec.format(),
                        change.apply(retention),
                        spec.maxTokens(),
                        spec.maxChunk(),
                        spec.undo());
            }
            return call.proceed();
        };
    }

    private static Mutation storing(BlockFormat asked, BlockFormat stored) {
        return call -> {
            if (call.is("allocate")
                    && call.arguments[0] instanceof SlabSpec spec
                    && spec.format().equals(asked)) {
                call.arguments[0] = new SlabSpec(
                        spec.shape(),
                        spec.layer(),
                        spec.heads(),
                        stored,
                        spec.retention(),
                        spec.maxTokens(),
                        spec.maxChunk(),
                        spec.undo());
            }
            return call.proceed();
        };
    }

    private static SlabSpec withUndo(SlabSpec spec, int undo) {
        return new SlabSpec(
                spec.shape(),
                spec.layer(),
                spec.heads(),
                spec.format(),
                spec.retention(),
                spec.maxTokens(),
                spec.maxChunk(),
                undo);
    }

    private static Mutation mode(PrefillMode mode) {
        return call -> {
            if (call.is("attend", "attendAll")) {
                call.arguments[3] = mode;
            }
            return call.proceed();
        };
    }

    /** Query head h reads KV head h modulo the number of KV heads. */
    private Object interleavedGroups(Call call) throws Throwable {
        if (!call.is("attend")) {
            return call.proceed();
        }
        ModelShape shape = call.<Slab>argument(0).spec().shape();
        OpaqueTensor q = (OpaqueTensor) call.<Object>argument(1);
        OpaqueTensor out = (OpaqueTensor) call.<Object>argument(4);
        call.stream().synchronize();
        double[] before = q.read().clone();
        q.write(permuted(before, shape, true));
        Object result = call.proceed();
        call.stream().synchronize();
        q.write(before);
        out.write(permuted(out.read().clone(), shape, false));
        return result;
    }

    private static double[] permuted(double[] rows, ModelShape shape, boolean forward) {
        double[] moved = rows.clone();
        int dim = shape.headDim();
        for (int row = 0; row < rows.length; row += shape.queryWidth()) {
            for (int h = 0; h < shape.attentionHeads(); h++) {
                int grouped = h % shape.kvHeads() * shape.queryHeadsPerKvHead() + h / shape.kvHeads();
                int from = row + (forward ? h : grouped) * dim;
                int to = row + (forward ? grouped : h) * dim;
                System.arraycopy(rows, from, moved, to, dim);
            }
        }
        return moved;
    }

    private Object cutKeysAndValues(Call call) throws Throwable {
        if (!call.is("append") || !call.<Slab>argument(0).spec().format().equals(BlockFormat.BF16)) {
            return call.proceed();
        }
        call.stream().synchronize();
        OpaqueTensor k = (OpaqueTensor) call.<Object>argument(1);
        OpaqueTensor v = (OpaqueTensor) call.<Object>argument(2);
        double[][] before = {k.read().clone(), v.read().clone()};
        k.write(cut(before[0]));
        v.write(cut(before[1]));
        Object result = call.proceed();
        call.stream().synchronize();
        k.write(before[0]);
        v.write(before[1]);
        return result;
    }

    private static double[] cut(double[] numbers) {
        double[] out = new double[numbers.length];
        for (int i = 0; i < out.length; i++) {
            out[i] = Float.intBitsToFloat(Float.floatToRawIntBits((float) numbers[i]) & 0xffff0000);
        }
        return out;
    }
}
