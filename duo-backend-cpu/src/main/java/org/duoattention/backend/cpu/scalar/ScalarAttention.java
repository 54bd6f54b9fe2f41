package org.duoattention.backend.cpu.scalar;

import static org.duoattention.backend.cpu.scalar.ScalarKernels.F32;

import java.lang.foreign.MemorySegment;
import org.duoattention.backend.cpu.kernel.AttentionTask;
import org.duoattention.backend.cpu.kernel.RowLayout;
import org.jspecify.annotations.Nullable;

/** Attention with an online softmax (arXiv 1805.02867), one query row at a time, in double precision. */
final class ScalarAttention {
    private ScalarAttention() {}

    static void attend(
            AttentionTask task, long fromRow, long toRow, long fromSlot, long toSlot, @Nullable MemorySegment partial) {
        int group = task.group();
        int dim = task.head().headDim();
        double[] max = new double[group];
        double[] sum = new double[group];
        double[][] values = new double[group][dim];
        float[][] q = new float[group][dim];
        float[] key = new float[dim];
        float[] value = new float[dim];
        for (long row = fromRow; row < toRow; row++) {
            readQueries(task, row, q);
            for (int g = 0; g < group; g++) {
                max[g] = Double.NEGATIVE_INFINITY;
                sum[g] = 0;
                java.util.Arrays.fill(values[g], 0);
            }
            long end = Math.min(toSlot, task.visibleEnd(row));
            for (long ordinal = fromSlot; ordinal < end; ordinal++) {
                if (ordinal >= task.always() && ordinal < task.windowFrom(row)) {
                    continue;
                }
                long slot = task.runs().slot(ordinal);
                RowLayout.read(task.head(), RowLayout.key(task.head(), slot), key);
                RowLayout.read(task.head(), RowLayout.value(task.head(), slot), value);
                for (int g = 0; g < group; g++) {
                    double logit = task.scale() * dot(q[g], key);
                    if (logit > max[g]) {
                        double shrink = Math.exp(max[g] - logit);
                        sum[g] *= shrink;
                        for (int d = 0; d < dim; d++) {
                            values[g][d] *= shrink;
                        }
                        max[g] = logit;
                    }
                    double p = Math.exp(logit - max[g]);
                    sum[g] += p;
                    for (int d = 0; d < dim; d++) {
                        values[g][d] += p * value[d];
                    }
                }
            }
            for (int g = 0; g < group; g++) {
                if (partial == null) {
                    write(task, row, g, values[g], sum[g]);
                } else {
                    long at = 4 * ((row - fromRow) * group + g) * (dim + 2);
                    partial.set(F32, at, (float) max[g]);
                    // The maximum is rounded to float: the sums are made relative to the rounded one.
                    double shift = sum[g] == 0 ? 0 : Math.exp(max[g] - (float) max[g]);
                    partial.set(F32, at + 4, (float) (sum[g] * shift));
                    for (int d = 0; d < dim; d++) {
                        partial.set(F32, at + 8 + 4L * d, (float) (values[g][d] * shift));
                    }
                }
            }
        }
    }

    private static void write(AttentionTask task, long row, int g, double[] values, double sum) {
        long at = task.out().at(row, task.column() + (long) g * values.length);
        for (int d = 0; d < values.length; d++) {
            task.out().segment().set(F32, at + 4L * d, (float) (values[d] / sum));
        }
    }

    private static void readQueries(AttentionTask task, long row, float[][] q) {
        for (int g = 0; g < q.length; g++) {
            long at = task.q().at(row, task.column() + (long) g * q[g].length);
            MemorySegment.copy(task.q().segment(), F32, at, q[g], 0, q[g].length);
        }
    }

    private static double dot(float[] q, float[] key) {
        double product = 0;
        for (int d = 0; d < key.length; d++) {
            product += (double) q[d] * key[d];
        }
        return product;
    }

    static void scores(AttentionTask task, long fromRow, long toRow, float[] sums) {
        float[] key = new float[task.head().headDim()];
        float[][] q = new float[task.group()][key.length];
        for (long row = fromRow; row < toRow; row++) {
            readQueries(task, row, q);
            int end = Math.toIntExact(task.visibleEnd(row));
            double[][] logits = new double[task.group()][end];
            for (int ordinal = 0; ordinal < end; ordinal++) {
                boolean hidden = ordinal >= task.always() && ordinal < task.windowFrom(row);
                RowLayout.read(
                        task.head(), RowLayout.key(task.head(), task.runs().slot(ordinal)), key);
                for (int g = 0; g < task.group(); g++) {
                    logits[g][ordinal] = hidden ? Double.NEGATIVE_INFINITY : task.scale() * dot(q[g], key);
                }
            }
            for (double[] head : logits) {
                double max = Double.NEGATIVE_INFINITY;
                for (double logit : head) {
                    max = Math.max(max, logit);
                }
                double sum = 0;
                for (double logit : head) {
                    sum += Math.exp(logit - max);
                }
                for (int ordinal = 0; ordinal < end; ordinal++) {
                    sums[ordinal] += (float) (Math.exp(head[ordinal] - max) / sum);
                }
            }
        }
    }
}
